"""Metrics of the real service."""

from __future__ import annotations

import httpx
from prometheus_client.parser import text_string_to_metric_families

from actors.metrics import catalogue as m
from tests.e2e.test_main_job import verified_loop
from tests.handler import Handler
from tests.service import Account, Service, eventually


def scrape(service: Service) -> dict[tuple[str, ...], float]:
    """All samples, by name and label values."""
    families = text_string_to_metric_families(service.http.get("/metrics").text)
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_one_scrape_has_the_metrics_of_all_processes(service: Service, account: Account, handler: Handler) -> None:
    """A click is counted by each process on its way, and the scrape has every metric of the catalogue.

    Counters do not decrease when an actor is killed, and its restart is counted.
    """
    loop = verified_loop(account, handler)
    (path,) = account.click_paths(1)
    assert httpx.get(f"http://127.0.0.1:{service.port}{path}", trust_env=False, verify=False).status_code == 302
    delivered = ("feedback_loops_deliveries_total", "delivered")
    before = eventually_scraped(service, delivered)

    for series in [
        ("feedback_loops_hits_total", "click"),
        ("feedback_loops_hit_answer_seconds_count",),
        ("feedback_loops_forward_batch_hits_count",),
        ("feedback_loops_events_total", "hit", "click"),
        ("feedback_loops_hit_recorded_seconds_count",),
        ("feedback_loops_ledger_commit_seconds_count",),
        ("feedback_loops_deliveries_total", "made"),
        ("feedback_loops_attempts_total", "delivered"),
        ("feedback_loops_event_delivered_seconds_count", "first"),
        ("feedback_loops_processes", "feedback-loop"),
        ("feedback_loops_processes", "ledger"),
        ("feedback_loops_ledger_bytes",),
    ]:
        before = eventually_scraped(service, series)
        assert before[series] >= 1, series
    eventually(lambda: _silent(service) == 0, 20, "every process answers")
    told = {key[0] for key in before}
    assert [x.name for x in m.METRICS if x.name not in told and f"{x.name}_count" not in told] == []

    for process in service.processes("loop"):
        process.kill()
    restarts = ("feedback_loops_actor_restarts_total", "feedback-loop")
    after = eventually_scraped(service, restarts)

    assert after[delivered] >= before[delivered]
    assert loop["id"] not in service.http.get("/metrics").text


def eventually_scraped(service: Service, series: tuple[str, ...]) -> dict[tuple[str, ...], float]:
    """The first scrape in which the series is not 0."""
    found: dict[tuple[str, ...], float] = {}

    def is_there() -> bool:
        found.update(scrape(service))
        return found.get(series, 0) > 0

    eventually(is_there, 30, f"{series} is counted")
    return found


def _silent(service: Service) -> float:
    return sum(value for key, value in scrape(service).items() if key[0] == "feedback_loops_processes_silent")

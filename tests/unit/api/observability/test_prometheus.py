"""The metrics page, and the alerting rules and the dashboard that use it."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from actors.commands.metrics import HistogramData, ReadMetrics, Snapshot
from actors.metrics import catalogue as m
from actors.metrics.registry import Registry
from api.observability.prometheus import PrometheusExporter
from docs._generate.metrics import page
from domain.errors import Unavailable
from tests.paths import ROOT
from tests.unit.api.fake_api import Api, FakeClient

RULES = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yml").read_text())
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((ROOT / "deploy/grafana/feedback-loops.json").read_text())

#: The name of every series, and the labels it may be queried by.
SERIES: dict[str, set[str]] = {}
for _metric in m.METRICS:
    _suffixes = ("_bucket", "_sum", "_count") if _metric.kind is m.Kind.HISTOGRAM else ("",)
    for _suffix in _suffixes:
        SERIES[_metric.name + _suffix] = set(_metric.labels) | ({"le"} if _suffix == "_bucket" else set())
#: Prometheus' own.
SERIES["up"] = {"job"}


def run(scenario: Any) -> Any:
    return asyncio.run(scenario)


async def scraped(prepare: Any = None, **headers: str) -> tuple[str, str]:
    async with Api() as api:
        if prepare:
            prepare(api.client)
        answer = await api.http.get("/metrics", headers=headers)
        assert answer.status_code == 200
        return answer.text, answer.headers["content-type"]


def some(client: FakeClient) -> None:
    client.snapshot = Snapshot(
        [("attempts", ("tls",), 3.0), ("of_a_newer_gateway", (), 1.0), ("loops", ("active",), 2.0)],
        [("ledger_commit_rows", (), HistogramData((1, 0, 2, *[0] * (len(m.COMMIT_ROWS.buckets) - 2)), 9.0))],
    )


@pytest.mark.parametrize(
    "accept", ["text/plain", "application/openmetrics-text;version=1.0.0", "text/plain;version=abc"]
)
def test_prometheus_parses_the_page(accept: str) -> None:
    """In both formats the page has the counted values; series outside the catalogue are left out."""
    text, content_type = run(scraped(some, accept=accept))
    read = read_openmetrics if "openmetrics" in content_type else text_string_to_metric_families
    samples = {(s.name, *s.labels.values()): s.value for family in read(text) for s in family.samples}

    assert ("openmetrics" in accept) is ("openmetrics" in content_type)
    assert samples["feedback_loops_attempts_total", "tls"] == 3
    assert samples["feedback_loops_loops", "active"] == 2
    assert samples["feedback_loops_processes", "front-end"] == 1
    assert samples["feedback_loops_ledger_commit_rows_count",] == 3
    assert samples["feedback_loops_ledger_commit_rows_bucket", "4.0"] == 3
    assert not any("newer" in name for name, *_ in samples)


def test_an_unavailable_gateway_is_reported() -> None:
    """The front end's own metrics are still there."""

    def away(client: FakeClient) -> None:
        client.failures[ReadMetrics] = [Unavailable("the gateway is away")]

    text, _ = run(scraped(away))

    assert 'feedback_loops_processes_silent{process="gateway"} 1.0' in text
    assert 'feedback_loops_process_cpu_seconds_total{process="front-end"}' in text


def test_the_page_needs_no_key_and_names_no_account() -> None:
    """Every label's values are those of the catalogue."""
    text, _ = run(scraped(some))
    allowed = {value for metric in m.METRICS for values in metric.labels.values() for value in values}
    found = set(re.findall(r'="([^"]*)"', re.sub(r'le="[^"]*"', "", text)))

    assert found <= allowed


def test_the_reference_page_matches_the_catalogue() -> None:
    """docs/reference/metrics.md is current; `python -m docs._generate.metrics` writes it."""
    assert (ROOT / "docs/reference/metrics.md").read_text() == page()


def expressions() -> Iterator[tuple[str, str]]:
    """Every PromQL expression of the rules and the dashboard, with its place."""
    for rule in ALERTS:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", []):
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m")


def selectors(node: Any) -> Iterator[promql_parser.VectorSelector]:
    """Every selector of series in a parsed expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
        return
    for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
        child = getattr(node, name, None)
        if child is not None and not isinstance(child, str | float | int):
            yield from selectors(child)
    for child in getattr(node, "args", None) or []:
        yield from selectors(child)


def groupings(expression: str) -> set[str]:
    """Labels that the expression groups by."""
    return {label.strip() for by in re.findall(r"\bby\s*\(([^)]*)\)", expression) for label in by.split(",")} - {""}


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_rules_and_dashboard_use_existing_metrics(where: str, expression: str) -> None:
    """Each expression parses, and uses only metrics, labels and label values of the catalogue."""
    found = list(selectors(promql_parser.parse(expression)))

    assert found, where
    for selector in found:
        assert selector.name in SERIES, selector.name
        known = SERIES[str(selector.name)]
        for matcher in selector.matchers.matchers:
            assert matcher.name in known | {"job", "instance"}, matcher.name
            metric = next((x for x in m.METRICS if str(selector.name).startswith(x.name)), None)
            if metric is not None and matcher.name in metric.labels:
                assert set(matcher.value.split("|")) <= set(metric.labels[matcher.name]), matcher.value
    assert groupings(expression) <= set().union(*(SERIES[str(s.name)] for s in found)) | {"instance"}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_each_alert_has_advice(rule: dict[str, Any]) -> None:
    """It has a severity, a duration, at least one sentence on the problem and one with advice."""
    notes = rule["annotations"]

    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert re.fullmatch(r"\d+[mh]", rule["for"])
    assert notes["summary"].endswith(".")
    assert len(notes["runbook"]) > 60
    assert notes["runbook"].endswith(".")


def test_an_expression_with_an_unknown_metric_is_found() -> None:
    """The check finds an unknown metric deep within an expression."""
    parsed = promql_parser.parse(
        'histogram_quantile(0.5, sum by (le) (rate(no_such_bucket{x="1"}[5m]))) > 1 and up == 1'
    )

    assert [s.name for s in selectors(parsed)] == ["no_such_bucket", "up"]


def test_every_metric_is_used() -> None:
    """Each metric of the catalogue appears in the dashboard or in an alert."""
    asked = " ".join(expression for _, expression in expressions())

    assert [x.name for x in m.METRICS if x.name not in asked] == []


def test_the_dashboard_s_panels_do_not_overlap() -> None:
    """Each panel has its own place in Grafana's 24 columns, and its own id."""
    occupied: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & occupied
        assert at["x"] + at["w"] <= 24
        occupied |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_scrapes_within_a_second_share_a_collection() -> None:
    """The actors are asked once a second at most; each scrape gets the format that it accepts."""

    async def scenario() -> list[int]:
        now_s, client = 100.0, FakeClient()
        asked = PrometheusExporter(client, Registry(), monotonic_s=lambda: now_s)
        answers = await asyncio.gather(*(asked.text("") for _ in range(5)), asked.text("application/openmetrics-text"))
        assert len({body for body, _ in answers}) == 2
        counts = [len(client.called(ReadMetrics))]
        now_s += 1
        await asked.text("")
        return [*counts, len(client.called(ReadMetrics))]

    assert run(scenario()) == [1, 2]

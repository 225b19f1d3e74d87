"""Trace of a click through the real service."""

from __future__ import annotations

from pathlib import Path

import httpx

from tests.collector import Collector
from tests.e2e.test_main_job import verified_loop
from tests.handler import Handler
from tests.service import Service, eventually


def test_a_click_is_one_trace(tmp_path: Path, handler: Handler) -> None:
    """Hit, enrichment, recording and POST are spans of one trace, whose id is the event's id at the handler."""
    with Collector() as collector:
        service = Service(
            tmp_path / "data", OTEL_EXPORTER_OTLP_ENDPOINT=collector.url, FEEDBACK_LOOPS_LOG_FORMAT="json"
        )
        try:
            service.start()
            account = service.account()
            loop = verified_loop(account, handler)
            (path,) = account.click_paths(1)
            assert httpx.get(f"http://127.0.0.1:{service.port}{path}", trust_env=False).status_code == 302
            eventually(lambda: handler.got, 10, "the event is POSTed")
            spans = [collector.span(name) for name in ("hit", "enrich", "record", "attempt")]
        finally:
            service.end()
    event = bytes.fromhex(handler.got[0].fields["event"].removeprefix("evt_"))

    assert {span.trace_id for span in spans} == {event}
    assert {span.parent_span_id for span in spans[1:]} == {spans[0].span_id}
    assert [span.start_time_unix_nano // 1_000_000 for span in spans] == sorted(
        span.start_time_unix_nano // 1_000_000 for span in spans
    )
    assert collector.attributes(spans[3])["feedback_loops.loop_id"] == loop["id"]
    assert '"action": "ready"' in service.log.read_text()
    assert '"action": "host_up"' in (tmp_path / "data/logs/ray.log").read_text()

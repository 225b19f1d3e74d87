"""Spans of an event's path, sent to a real collector."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any, cast

import pytest

from actors.adapters.uuid7 import UUID7s
from actors.delivery.attempt_telemetry import AttemptTelemetry
from actors.tracing.setup import is_wanted, sampling, start_tracing
from actors.tracing.spans import Sampling, Span, Traces
from domain.delivery import AttemptOutcome, OfferedDelivery
from domain.values import DeliveryState
from tests.collector import Collector
from tests.ports import free_port

SMALL = {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "50"}
NOW_MS = 1_700_000_000_123
EVENT = UUID7s().next(NOW_MS)
BEGAN_NS = NOW_MS * 1_000_000


def started(monkeypatch: pytest.MonkeyPatch, url: str, process: str = "front-end", **variables: str) -> Traces:
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": url, **variables}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)  # the SDK reads its own
    made = start_tracing(environment, process)
    assert made is not None
    return made


def test_an_event_s_spans_are_one_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Separate processes add to one trace: its id is the event's, and its root the hit."""
    with Collector() as collector:
        front = started(monkeypatch, collector.url)
        lane = started(monkeypatch, collector.url, "feedback-loop")
        front.add(Span(EVENT, "hit", BEGAN_NS, BEGAN_NS + 5, {"feedback_loops.type": "click"}))
        about: dict[str, str | int] = {"http.response.status_code": 503, "feedback_loops.loop_id": "fl_1"}
        lane.add(Span(EVENT, "attempt", BEGAN_NS + 10, BEGAN_NS + 20, about, "status"))
        lane.add(Span(UUID7s().next(NOW_MS), "enrich", BEGAN_NS, BEGAN_NS, {}))
        front.stop(5)
        lane.stop(5)
        hit, attempt, other = (collector.span(name) for name in ("hit", "attempt", "enrich"))

    assert hit.trace_id == attempt.trace_id == EVENT
    assert (hit.parent_span_id, hit.span_id) == (b"", EVENT[8:])
    assert attempt.parent_span_id == hit.span_id
    assert attempt.span_id not in {hit.span_id, other.span_id}
    assert other.trace_id != EVENT
    assert (hit.start_time_unix_nano, hit.end_time_unix_nano) == (BEGAN_NS, BEGAN_NS + 5)
    assert (attempt.status.code, attempt.status.message) == (2, "status")
    assert collector.attributes(attempt) == about
    assert collector.resource["service.name"] == "feedback-loops"


def test_nothing_is_loaded_unless_an_endpoint_is_set() -> None:
    """Without an endpoint tracing costs nothing, and not even its library is imported."""
    script = (
        "import os, sys; from actors.tracing.setup import start_tracing;"
        "assert start_tracing(os.environ, 'ledger') is None;"
        "assert not any(name.startswith('opentelemetry') for name in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env={})


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
    ],
)
def test_the_standard_variables_control_tracing(environment: dict[str, str], wanted: bool) -> None:
    """An endpoint turns it on, and OpenTelemetry's switches turn it off."""
    assert is_wanted(environment) is wanted


def test_an_unavailable_protocol_is_reported(caplog: pytest.LogCaptureFixture) -> None:
    """The service starts without traces, and the log names the protocol to set."""
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}

    assert start_tracing(environment, "ledger") is None
    (record,) = caplog.records
    assert vars(record)["advice"] == "set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"


def test_an_invalid_variable_does_not_prevent_the_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the SDK's error, and the service runs without traces."""
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "10")  # less than a batch

    assert start_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}, "ledger") is None
    assert "max_queue_size" in vars(caplog.records[-1])["error"]


@pytest.mark.parametrize(
    ("name", "argument", "low", "high"),
    [
        ("", "", 1, 1),
        ("always_off", "", 0, 0),
        ("parentbased_always_off", "", 0, 0),
        ("traceidratio", "0.25", 0.2, 0.3),
        ("parentbased_traceidratio", "0.9", 0.87, 0.93),
        ("traceidratio", "0", 0, 0),
        ("traceidratio", "a quarter", 1, 1),
        ("of_my_own", "", 1, 1),
    ],
)
def test_a_share_of_the_events_is_sampled(name: str, argument: str, low: float, high: float) -> None:
    """The random part of their ids decides, so every process samples the same; an invalid share samples all."""
    chosen = sampling({"OTEL_TRACES_SAMPLER": name, "OTEL_TRACES_SAMPLER_ARG": argument})
    ids = UUID7s()
    share = sum(chosen.wants(ids.next(NOW_MS)) for _ in range(4000)) / 4000

    assert low <= share <= high


def test_an_unavailable_collector_costs_only_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Adding never waits, the queue is bounded, and the stop has a time limit."""
    traces = started(monkeypatch, f"http://127.0.0.1:{free_port()}", OTEL_BSP_MAX_QUEUE_SIZE="100", **SMALL)
    began_s = time.monotonic()
    for _ in range(3000):
        traces.add(Span(EVENT, "hit", BEGAN_NS, BEGAN_NS, {}))
    added_s = time.monotonic() - began_s
    processor = cast(Any, traces)._provider._active_span_processor._span_processors[0]
    held = len(processor._batch_processor._queue)
    began_s = time.monotonic()
    traces.stop(0.2)

    assert held <= 100
    assert added_s < 3
    assert time.monotonic() - began_s < 2


class KeptSpans:
    """Traces that keep their spans in memory."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.sampling = Sampling(1.0)

    def wants(self, event_id: bytes) -> bool:
        return self.sampling.wants(event_id)

    def add(self, span: Span) -> None:
        self.spans.append(span)

    def stop(self, within_s: float) -> None: ...


def outcome(**given: Any) -> AttemptOutcome:
    facts = {"delivery_id": 1, "attempt_no": 2, "at_ms": NOW_MS, "duration_ms": 12, "status": None, "error": "tls"}
    more = {"excerpt": "", "address": None, "state": int(DeliveryState.PENDING), "due_at_ms": 0}
    return AttemptOutcome(**cast(Any, facts | more | given))


def test_an_attempt_is_a_span_of_its_event() -> None:
    """It has the loop, the attempt, and the handler's response or the error, but no content of the event."""
    traces = KeptSpans()
    telemetry = AttemptTelemetry("fl_1", traces=traces)
    delivery = OfferedDelivery(1, EVENT, "open", b'{"recipient": "john@example.com"}', 1, NOW_MS)
    telemetry.completed(delivery, outcome(), 0.012, NOW_MS)
    telemetry.completed(delivery, outcome(status=200, error=None, state=int(DeliveryState.DELIVERED)), 0.012, NOW_MS)
    traces.sampling = Sampling(0.0)
    telemetry.completed(delivery, outcome(), 0.012, NOW_MS)
    failure, success = traces.spans

    assert failure == Span(
        EVENT,
        "attempt",
        BEGAN_NS,
        BEGAN_NS + 12_000_000,
        {"feedback_loops.loop_id": "fl_1", "feedback_loops.attempt": 2, "error.type": "tls"},
        "tls",
    )
    assert (success.error, success.attributes["http.response.status_code"]) == (None, 200)

"""Span exporter: OTLP over HTTP with the OpenTelemetry SDK.

The SDK reads further variables itself: OTEL_EXPORTER_OTLP_HEADERS, OTEL_RESOURCE_ATTRIBUTES, OTEL_BSP_… and so on.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator, RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from actors.tracing.spans import Sampling, Span, root_span_id, trace_id

#: Milliseconds between batches. With the SDK's default, an actor that ends would lose five seconds of spans.
DELAY_MS: Final = 1000.0
_KINDS: Final = {"hit": trace.SpanKind.SERVER, "attempt": trace.SpanKind.CLIENT}


class OtlpTraces:
    """`Traces` that sends spans to the collector configured in the environment.

    At most OTEL_BSP_MAX_QUEUE_SIZE (2048) spans wait. If the collector is too slow, the oldest are dropped.
    """

    def __init__(self, process: str, sampling: Sampling, environment: Mapping[str, str]) -> None:
        self.wants = sampling.wants
        self._ids = _EventIds()
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,  # `Sampling` has decided already
            resource=Resource.create({"service.name": "feedback-loops"} if not _has_name(environment) else {}),
            shutdown_on_exit=False,  # it would wait for a hanging collector
            id_generator=self._ids,
        )
        delay_ms = None if environment.get("OTEL_BSP_SCHEDULE_DELAY") else DELAY_MS
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=delay_ms))
        self._tracer = self._provider.get_tracer(f"feedback_loops.{process}")

    def add(self, span: Span) -> None:
        self._ids.root = span.event_id if span.is_root else None
        started = self._tracer.start_span(
            span.name,
            context=Context() if span.is_root else _below(span.event_id),
            kind=_KINDS.get(span.name, trace.SpanKind.INTERNAL),
            attributes=span.attributes,
            start_time=span.began_ns,
        )
        if span.error is not None:
            started.set_status(trace.Status(trace.StatusCode.ERROR, span.error))
        started.end(span.ended_ns)

    def stop(self, within_s: float) -> None:
        ending = threading.Thread(target=self._provider.shutdown, name="last spans", daemon=True)
        ending.start()
        ending.join(within_s)


class _EventIds(IdGenerator):
    """Ids derived from the event's id. Only called during `add`, which sets `root`."""

    def __init__(self) -> None:
        self.root: bytes | None = None
        self._chance = RandomIdGenerator()

    def generate_trace_id(self) -> int:
        return self._chance.generate_trace_id() if self.root is None else trace_id(self.root)

    def generate_span_id(self) -> int:
        return self._chance.generate_span_id() if self.root is None else root_span_id(self.root)


def _below(event_id: bytes) -> Context:
    """A context whose current span is the event's hit, in another process."""
    root = trace.SpanContext(
        trace_id(event_id),
        root_span_id(event_id),
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(root), Context())


def _has_name(environment: Mapping[str, str]) -> bool:
    return bool(environment.get("OTEL_SERVICE_NAME")) or "service.name=" in environment.get(
        "OTEL_RESOURCE_ATTRIBUTES", ""
    )

"""Tracing setup from the standard environment variables of OpenTelemetry."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from actors.tracing.spans import Sampling, Traces

log = logging.getLogger(__name__)

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HTTP: Final = "http/protobuf"
_SHARES: Final = {"always_on": 1.0, "always_off": 0.0}


def start_tracing(environment: Mapping[str, str], process: str) -> Traces | None:
    """The exporter of this process's spans. None if no endpoint is configured; then the SDK is not imported.

    Problems with the configuration are logged, and tracing is off; the service runs without it.
    """
    if not is_wanted(environment):
        return None
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), _HTTP)
    if protocol != _HTTP:
        facts = {"action": "tracing_off", "protocol": protocol, "advice": f"set {_PROTOCOLS[1]}={_HTTP}"}
        log.warning("tracing is off: the protocol is not supported", extra=facts)
        return None
    try:
        from actors.tracing.otlp import OtlpTraces  # noqa: PLC0415 - an optional extra that takes 0.3 s to import
    except ImportError as exc:
        facts = {"action": "tracing_off", "error": str(exc), "advice": "pip install 'feedback-loops[tracing]'"}
        log.warning("tracing is off: its packages are not installed", extra=facts)
        return None
    try:
        return OtlpTraces(process, sampling(environment), environment)
    except ValueError as exc:  # from a variable that the SDK reads itself
        facts = {"action": "tracing_off", "error": str(exc), "advice": "correct the OTEL_… variables"}
        log.warning("tracing is off: an OpenTelemetry variable is invalid", extra=facts)
        return None


def is_wanted(environment: Mapping[str, str]) -> bool:
    """Whether the environment asks for traces."""
    is_off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    is_elsewhere = environment.get("OTEL_TRACES_EXPORTER", "otlp") != "otlp"
    return any(environment.get(name) for name in _ENDPOINTS) and not is_off and not is_elsewhere


def sampling(environment: Mapping[str, str]) -> Sampling:
    """The sampling of OTEL_TRACES_SAMPLER and its argument. A hit has no parent, so `parentbased_` has no effect."""
    name = environment.get("OTEL_TRACES_SAMPLER") or "always_on"
    rule = name.removeprefix("parentbased_")
    share = _SHARES.get(rule)
    if rule == "traceidratio":
        share = _ratio(environment.get("OTEL_TRACES_SAMPLER_ARG") or "1")
    if share is None:
        facts = {"action": "sampler_unknown", "sampler": name, "advice": "see OTEL_TRACES_SAMPLER in the docs"}
        log.warning("unknown sampler: all events are traced", extra=facts)
        share = 1.0
    return Sampling(share)


def _ratio(text: str) -> float | None:
    try:
        ratio = float(text)
    except ValueError:
        return None
    return ratio if 0 <= ratio <= 1 else None

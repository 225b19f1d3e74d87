"""POSTs of sample events, which let a loop's owner test the handler."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.commands.loops import SampleResult
from actors.delivery.dependencies import DeliveryServices
from actors.delivery.lane_config import LaneConfig
from actors.delivery.request_builder import RequestBuilder
from actors.delivery.response_text import body_excerpt, error_code
from actors.ports import HttpRequest
from domain.errors import InvalidInput
from domain.event_catalogue.samples import sample_fields
from domain.payload import encode_json


async def post_sample(config: LaneConfig, services: DeliveryServices, type: str, data: dict[str, Any]) -> SampleResult:  # noqa: A002
    """POSTs a sample event of a trigger once, and returns how the handler responded. Records nothing.

    Raises:
        InvalidInput: there is no such trigger, or `data` is not JSON.
    """
    now_ms, rng = services.clock.now_ms(), services.rng
    uuid7 = now_ms << 80 | 7 << 76 | rng.getrandbits(12) << 64 | 2 << 62 | rng.getrandbits(62)
    requests = RequestBuilder(config, services.policy.timeout_s)
    request = sample_request(requests, type, uuid7.to_bytes(16, "big"), now_ms, data)
    response = await services.http_client.post(request)
    error = error_code(response)
    return SampleResult(
        loop_id=config.loop_id,
        status=response.status,
        duration_ms=round(response.duration_s * 1000),
        response_excerpt=body_excerpt(response),
        error=f"{error}: {response.detail}" if response.detail else error,
    )


def sample_request(
    requests: RequestBuilder, trigger: str, event_id: bytes, now_ms: int, data: dict[str, Any]
) -> HttpRequest:
    """The POST of a sample event. `data` replaces fields of the sample. Raises InvalidInput when it is not JSON."""
    try:
        return requests.build(event_id, encode_json(sample_fields(trigger, event_id, now_ms, data)), now_ms)
    except (msgspec.MsgspecError, ValueError, TypeError) as exc:
        raise InvalidInput(f"data is not JSON: {exc}", [("/data", f"is not JSON: {exc}")]) from exc

"""POSTing a sample event to a handler, and what its owner is told of the answer."""

from __future__ import annotations

from typing import Any

import msgspec

from actors.commands.loops import SampleResult
from actors.delivery.outcome_recorder import answer_excerpt, error_word
from actors.delivery.request_builder import RequestBuilder
from actors.delivery.sample_events import sample_fields
from actors.ports import HttpRequest, HttpResponse
from domain.errors import InvalidInput
from domain.payload import encode_json
from domain.values import Trigger


def sample_request(
    posts: RequestBuilder, trigger: Trigger, event_id: bytes, now_ms: int, data: dict[str, Any]
) -> HttpRequest:
    """The POST of a sample event. `data` takes the place of the sample's fields.

    Raises:
        InvalidInput: `data` is not JSON.
    """
    try:
        return posts.request(event_id, encode_json(sample_fields(trigger, event_id, now_ms, data)), now_ms)
    except (msgspec.MsgspecError, ValueError, TypeError) as exc:
        raise InvalidInput(f"data is not JSON: {exc}", [("/data", f"is not JSON: {exc}")]) from exc


def sample_result(loop_id: str, answer: HttpResponse) -> SampleResult:
    """How the handler took it."""
    word = error_word(answer)
    return SampleResult(
        loop_id=loop_id,
        status=answer.status,
        duration_ms=round(answer.duration_s * 1000),
        response_excerpt=answer_excerpt(answer),
        error=f"{word}: {answer.detail}" if answer.detail else word,
    )

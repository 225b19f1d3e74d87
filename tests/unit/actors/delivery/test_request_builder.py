"""`actors.delivery.request_builder`: the size limit."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from actors.delivery.lane_config import LaneConfig
from actors.delivery.request_builder import MAX_BODY_BYTES, EventTooLarge, RequestBuilder
from domain.loop_settings import LoopSettings
from domain.payload import form_bytes
from domain.signing import SigningSecret
from domain.values import PayloadFormat


def builder(payload: PayloadFormat) -> RequestBuilder:
    settings = LoopSettings(triggers=("open",), format=payload)
    config = LaneConfig("fl_1", "acc_1", "https://h.example/", settings, (SigningSecret(b"s" * 24, None),))
    return RequestBuilder(config, 1.0)


def test_a_form_over_the_limit_is_never_built() -> None:
    """A small event whose form would have hundreds of megabytes raises EventTooLarge, and uses little memory."""
    fields = json.dumps({"fields": {"k" * 40_000: [1] * 10_000}}).encode()
    tracemalloc.start()
    try:
        with pytest.raises(
            EventTooLarge, match=rf"{form_bytes(json.loads(fields))} bytes .* {MAX_BODY_BYTES} can be sent"
        ):
            builder(PayloadFormat.FORM).build(bytes(16), fields, 0)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10_000_000


@pytest.mark.parametrize(
    ("payload", "framing"), [(PayloadFormat.FORM, len("mime=")), (PayloadFormat.JSON, len('{"mime":""}'))]
)
def test_the_largest_post_is_sent(payload: PayloadFormat, framing: int) -> None:
    """A body of exactly the limit is accepted, one byte more is not, in each format."""
    largest = b'{"mime":"' + b"x" * (MAX_BODY_BYTES - framing) + b'"}'

    assert len(builder(payload).build(bytes(16), largest, 0).body) == MAX_BODY_BYTES
    with pytest.raises(EventTooLarge):
        builder(payload).build(bytes(16), largest.replace(b'"}', b'x"}'), 0)


def test_events_that_skip_the_check_cannot_be_too_large() -> None:
    """The largest form of an event that skips the size check is well within the limit."""
    length = max(form_bytes({"%" * n: [1] * ((1024 - n - len('{"":[]}')) // 2)}) for n in range(1, 1000))

    assert length < MAX_BODY_BYTES

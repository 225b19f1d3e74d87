"""The encoding of the intake, also between neighbouring versions."""

from __future__ import annotations

import msgspec
import pytest

from actors.commands.intake import Batch, encode_batch, encode_entry, event_id_of, read_batch, received_ms
from domain.errors import InvalidInput
from domain.tracking import TrackingHit

TIME_MS = 1_764_438_415_123
EVENT_ID = TIME_MS.to_bytes(6, "big") + bytes(range(10))
HIT = TrackingHit(EVENT_ID, "click", 1, 2, TIME_MS, "https://a.example/?n=é", "192.0.2.1", "UA", "", "")
_pack = msgspec.msgpack.encode
#: Cut in a text, so that the bytes of the next entry are read as UTF-8.
CUT = encode_entry(HIT)[:45]
#: An entry of a kind that only a later version writes.
NEWER = _pack((99, (EVENT_ID, "bounce")))


def test_a_batch_round_trips() -> None:
    """Encoded entries under one array header are a batch; the kind costs an entry two bytes."""
    entry = encode_entry(HIT)

    assert read_batch(encode_batch([entry] * 200)) == Batch([HIT] * 200, [])
    assert len(entry) == len(_pack(HIT)) + 2


def test_entries_of_a_newer_version_leave_the_others_readable() -> None:
    """Unknown fields are dropped, and entries of an unknown kind are listed by position."""
    more_fields = _pack((1, (*HIT, "more")))

    assert read_batch(encode_batch([more_fields, encode_entry(HIT)])) == Batch([HIT, HIT], [])
    assert read_batch(encode_batch([NEWER, encode_entry(HIT), NEWER, more_fields])) == Batch([HIT, HIT], [0, 2])


@pytest.mark.parametrize("broken", [b"\x91\x01", b"\xc1", _pack(HIT), _pack((1, HIT[:3])), _pack(("1", HIT)), CUT])
def test_a_batch_with_a_broken_entry_is_refused(broken: bytes) -> None:
    """Its other entries are refused too, and the sender finds the broken one by sending parts of the batch."""
    for others in ([], [encode_entry(HIT)], [NEWER]):
        with pytest.raises(InvalidInput, match="cannot be read"):
            read_batch(encode_batch([*others, broken]))


def test_a_batch_is_bounded() -> None:
    """A batch with more entries than an enricher records at once is refused before it is sent."""
    with pytest.raises(InvalidInput, match="256 at most"):
        encode_batch([encode_entry(HIT)] * 257)


def test_event_and_time_of_an_entry_are_read_without_decoding() -> None:
    """This works for every version and any number of fields; other bytes have neither."""
    many_fields = _pack((1, (*HIT, *("more",) * 10)))

    for entry in (encode_entry(HIT), NEWER, many_fields):
        assert (event_id_of(entry), received_ms(entry)) == (EVENT_ID, TIME_MS)
    for other in (b"", b"hit 7", _pack(HIT), _pack(["click"]), encode_entry(HIT)[:20]):
        assert (event_id_of(other), received_ms(other)) == (None, None)

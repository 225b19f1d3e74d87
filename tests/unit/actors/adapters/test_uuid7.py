"""UUIDs of version 7: well formed, unique and increasing."""

from __future__ import annotations

from itertools import pairwise
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from actors.adapters.uuid7 import UUID7s
from domain.values import event_time_ms


def test_the_layout_is_that_of_version_7() -> None:
    """The milliseconds come first, then version and variant as in RFC 9562."""
    made = UUID7s().next(0x0123456789AB)
    uuid = UUID(bytes=made)
    assert (uuid.version, uuid.variant) == (7, "specified in RFC 4122")
    assert made[:6].hex() == "0123456789ab"
    assert event_time_ms(made) == 0x0123456789AB


def test_many_within_a_millisecond_increase() -> None:
    """More ids than the counter holds in one millisecond still increase, and shift the time only a little."""
    ids = UUID7s()
    made = [ids.next(1000) for _ in range(10_000)]
    assert made == sorted(set(made))
    assert 1002 <= int.from_bytes(made[-1][:6], "big") <= 1004


@given(st.lists(st.integers(0, 2**48 - 1000), min_size=2))
def test_ids_increase_whatever_the_clock_does(times: list[int]) -> None:
    """A clock set back makes no id smaller than the previous one."""
    ids = UUID7s()
    made = [ids.next(ms) for ms in times]
    assert all(a < b for a, b in pairwise(made))
    assert {UUID(bytes=one).version for one in made} == {7}

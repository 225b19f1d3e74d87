"""`actors.delivery.prefetch_buffer`: limits and order."""

from __future__ import annotations

import pytest

from actors.delivery import prefetch_buffer as module
from actors.delivery.prefetch_buffer import ASSURED_BYTES, PrefetchBuffer, SharedBytes
from domain.delivery import OfferedDelivery


def a_delivery(number: int, due_at_ms: int = 0, size: int = 2) -> OfferedDelivery:
    return OfferedDelivery(number, b"e" * 16, "open", b"x" * size, 0, due_at_ms)


def popped(buffer: PrefetchBuffer) -> list[int]:
    return [buffer.pop().delivery_id for _ in range(buffer.queued)]


def test_live_and_old_take_turns() -> None:
    """Retries do not delay live events, nor live events the retries."""
    buffer = PrefetchBuffer(100, SharedBytes())
    for number in range(1, 6):
        buffer.add_old(a_delivery(number, due_at_ms=number), number)
    for number in range(11, 14):
        buffer.add_live(a_delivery(number))

    assert popped(buffer) == [11, 1, 12, 2, 13, 3, 4, 5]


def test_each_has_its_half() -> None:
    """Live events leave room for old ones, and the other way round."""
    buffer = PrefetchBuffer(8, SharedBytes())

    assert sum(buffer.add_live(a_delivery(n)) for n in range(10)) == 4
    assert sum(buffer.add_old(a_delivery(n), 0) for n in range(20, 30)) == 4
    assert (len(buffer), buffer.room_for_old, buffer.is_low) == (8, 0, False)

    for _ in range(8):
        buffer.release(buffer.pop().delivery_id)

    assert (len(buffer), buffer.room_for_old, buffer.is_low) == (0, 4, True)


def test_requeued_deliveries_go_first() -> None:
    """A requeued delivery goes ahead of all others from the outbox; deliveries of one rank go by id."""
    buffer = PrefetchBuffer(100, SharedBytes())
    for number in (7, 5, 6):
        buffer.add_old(a_delivery(number), 1000)
    first = buffer.pop()
    buffer.requeue(first)

    assert first.delivery_id == 5
    assert not buffer.is_in_flight(5)
    assert popped(buffer) == [5, 6, 7]
    assert buffer.is_in_flight(5)


def test_releasing_one() -> None:
    """A queued delivery is released; one in flight is not."""
    buffer = PrefetchBuffer(100, SharedBytes())
    buffer.add_live(a_delivery(1))
    buffer.add_live(a_delivery(2))
    buffer.add_old(a_delivery(3), 0)
    buffer.pop()
    for number in (1, 2, 3):
        buffer.release_queued(number)

    assert (buffer.ids, buffer.queued) == ([1], 0)


def test_a_live_event_can_skip_the_turn_of_an_old_one() -> None:
    """`pop_live` takes a live event although it is the turn of an old one, which is next afterwards."""
    buffer = PrefetchBuffer(100, SharedBytes())
    buffer.add_old(a_delivery(1), 0)
    buffer.add_live(a_delivery(11))
    buffer.add_live(a_delivery(12))

    assert (buffer.is_old_next, buffer.pop().delivery_id) == (False, 11)
    assert (buffer.is_old_next, buffer.has_live, buffer.pop_live().delivery_id) == (True, True, 12)
    assert (buffer.is_old_next, buffer.has_live, buffer.pop().delivery_id) == (True, False, 1)
    assert (buffer.is_old_next, buffer.has_live) == (False, False)


def test_lanes_share_bytes_and_each_is_assured_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """One lane may use all shared bytes; the others still have their assured bytes, and more once it releases some."""
    monkeypatch.setattr(module, "MAX_BYTES", 2 * ASSURED_BYTES)
    shared = SharedBytes()
    hog, other = PrefetchBuffer(10_000, shared), PrefetchBuffer(10_000, shared)
    quarter, numbers = ASSURED_BYTES // 4, iter(range(100))

    def fill(buffer: PrefetchBuffer) -> tuple[int, int]:
        """How many live and old deliveries fit."""
        live, old = 0, 0
        while buffer.add_live(a_delivery(next(numbers), size=quarter)):
            live += 1
        while buffer.add_old(a_delivery(next(numbers), size=quarter), 0):
            old += 1
        return live, old

    assert fill(hog) == (4, 4)
    assert shared.used == ASSURED_BYTES
    third = PrefetchBuffer(10_000, shared)
    assert fill(third) == (4, 4)
    assert shared.used == 2 * ASSURED_BYTES
    assert fill(other) == (2, 2)

    hog.release_queue()
    assert fill(other) == (2, 2)
    for buffer in (other, third):
        buffer.release_queue()
    assert shared.used == 0


def test_a_delivery_larger_than_all_limits_fits_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane with an empty buffer accepts one delivery, however large it is and whatever others have buffered."""
    monkeypatch.setattr(module, "MAX_BYTES", 0)
    buffer = PrefetchBuffer(100, SharedBytes())

    assert buffer.add_old(a_delivery(1, size=ASSURED_BYTES), 0)
    assert not buffer.add_old(a_delivery(2), 0)

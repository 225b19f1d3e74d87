"""`actors.delivery.prefetch_buffer`: what a lane holds, and in which order it goes out."""

from __future__ import annotations

import pytest

from actors.delivery import prefetch_buffer as in_hand_module
from actors.delivery.prefetch_buffer import ASSURED_BYTES, PrefetchBuffer, SharedBytes
from domain.delivery import OfferedDelivery


def a_delivery(number: int, due_at_ms: int = 0, size: int = 2) -> OfferedDelivery:
    return OfferedDelivery(number, b"e" * 16, "open", b"x" * size, 0, due_at_ms)


def popped(in_hand: PrefetchBuffer) -> list[int]:
    return [in_hand.pop().delivery_id for _ in range(in_hand.queued)]


def test_live_and_old_take_turns() -> None:
    """A thousand retries do not hold a fresh event up, nor fresh events the retries; alone either goes as it can."""
    in_hand = PrefetchBuffer(100, SharedBytes())
    for number in range(1, 6):
        in_hand.take_old(a_delivery(number, due_at_ms=number), number)
    for number in range(11, 14):
        in_hand.take_live(a_delivery(number))

    assert popped(in_hand) == [11, 1, 12, 2, 13, 3, 4, 5]


def test_each_has_its_half() -> None:
    """Offers leave room for what is old, and the old for offers."""
    in_hand = PrefetchBuffer(8, SharedBytes())

    assert sum(in_hand.take_live(a_delivery(n)) for n in range(10)) == 4
    assert sum(in_hand.take_old(a_delivery(n), 0) for n in range(20, 30)) == 4
    assert (len(in_hand), in_hand.room_for_old, in_hand.is_low) == (8, 0, False)

    for _ in range(8):
        in_hand.release(in_hand.pop().delivery_id)

    assert (len(in_hand), in_hand.room_for_old, in_hand.is_low) == (0, 4, True)


def test_what_is_tried_again_goes_first() -> None:
    """Before all that came out of the outbox, whenever that was due; those of one rank go by id."""
    in_hand = PrefetchBuffer(100, SharedBytes())
    for number in (7, 5, 6):
        in_hand.take_old(a_delivery(number), 1000)
    first = in_hand.pop()
    in_hand.take_back(first)

    assert first.delivery_id == 5
    assert not in_hand.is_begun(5)
    assert popped(in_hand) == [5, 6, 7]
    assert in_hand.is_begun(5)


def test_letting_go_of_one() -> None:
    """One that waits is let go; one whose attempt has begun is not."""
    in_hand = PrefetchBuffer(100, SharedBytes())
    in_hand.take_live(a_delivery(1))
    in_hand.take_live(a_delivery(2))
    in_hand.take_old(a_delivery(3), 0)
    in_hand.pop()
    for number in (1, 2, 3):
        in_hand.release_queued(number)

    assert (in_hand.ids, in_hand.queued) == ([1], 0)


def test_the_old_may_rest() -> None:
    """A live event can be taken although it is the old one's turn, which then comes next."""
    in_hand = PrefetchBuffer(100, SharedBytes())
    in_hand.take_old(a_delivery(1), 0)
    in_hand.take_live(a_delivery(11))
    in_hand.take_live(a_delivery(12))

    assert (in_hand.is_old_next, in_hand.pop().delivery_id) == (False, 11)
    assert (in_hand.is_old_next, in_hand.has_live, in_hand.pop_live().delivery_id) == (True, True, 12)
    assert (in_hand.is_old_next, in_hand.has_live, in_hand.pop().delivery_id) == (True, False, 1)
    assert (in_hand.is_old_next, in_hand.has_live) == (False, False)


def test_lanes_share_a_bound_and_each_is_assured_of_a_little(monkeypatch: pytest.MonkeyPatch) -> None:
    """One lane may take all that is shared; the next has what it is assured of, and more when the first lets go."""
    monkeypatch.setattr(in_hand_module, "MAX_BYTES", 2 * ASSURED_BYTES)
    shared = SharedBytes()
    hog, other = PrefetchBuffer(10_000, shared), PrefetchBuffer(10_000, shared)
    quarter, numbers = ASSURED_BYTES // 4, iter(range(100))

    def fill(in_hand: PrefetchBuffer) -> tuple[int, int]:
        """How many live and old ones were taken."""
        live, old = 0, 0
        while in_hand.take_live(a_delivery(next(numbers), size=quarter)):
            live += 1
        while in_hand.take_old(a_delivery(next(numbers), size=quarter), 0):
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
    for in_hand in (other, third):
        in_hand.release_queue()
    assert shared.used == 0


def test_one_that_is_larger_than_all_bounds_is_taken_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lane with nothing in hand takes one delivery, however large it is and whatever others have."""
    monkeypatch.setattr(in_hand_module, "MAX_BYTES", 0)
    in_hand = PrefetchBuffer(100, SharedBytes())

    assert in_hand.take_old(a_delivery(1, size=ASSURED_BYTES), 0)
    assert not in_hand.take_old(a_delivery(2), 0)

"""`actors.delivery.in_hand`: what a lane holds, and in which order it goes out."""

from __future__ import annotations

from actors.delivery.in_hand import InHand
from domain.delivery import OfferedDelivery


def a_delivery(number: int, due_at_ms: int = 0) -> OfferedDelivery:
    return OfferedDelivery(number, b"e" * 16, "open", b"{}", 0, due_at_ms)


def popped(in_hand: InHand) -> list[int]:
    return [in_hand.pop().delivery_id for _ in range(in_hand.queued)]


def test_live_and_old_take_turns() -> None:
    """A thousand retries do not hold a fresh event up, nor fresh events the retries; alone either goes as it can."""
    in_hand = InHand(100)
    for number in range(1, 6):
        in_hand.take_old(a_delivery(number, due_at_ms=number), number)
    for number in range(11, 14):
        in_hand.take_live(a_delivery(number))

    assert popped(in_hand) == [11, 1, 12, 2, 13, 3, 4, 5]


def test_each_has_its_half() -> None:
    """Offers leave room for what is old, and the old for offers."""
    in_hand = InHand(8)

    assert sum(in_hand.take_live(a_delivery(n)) for n in range(10)) == 4
    assert sum(in_hand.take_old(a_delivery(n), 0) for n in range(20, 30)) == 4
    assert (len(in_hand), in_hand.room_for_old, in_hand.is_low) == (8, 0, False)

    for _ in range(8):
        in_hand.release(in_hand.pop().delivery_id)

    assert (len(in_hand), in_hand.room_for_old, in_hand.is_low) == (0, 4, True)


def test_what_is_tried_again_goes_first() -> None:
    """Before all that came out of the outbox, whenever that was due; those of one rank go by id."""
    in_hand = InHand(100)
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
    in_hand = InHand(100)
    in_hand.take_live(a_delivery(1))
    in_hand.take_live(a_delivery(2))
    in_hand.take_old(a_delivery(3), 0)
    in_hand.pop()
    for number in (1, 2, 3):
        in_hand.release_queued(number)

    assert (in_hand.ids, in_hand.queued) == ([1], 0)


def test_the_old_may_rest() -> None:
    """A live event can be taken although it is the old one's turn, which then comes next."""
    in_hand = InHand(100)
    in_hand.take_old(a_delivery(1), 0)
    in_hand.take_live(a_delivery(11))
    in_hand.take_live(a_delivery(12))

    assert (in_hand.is_old_next, in_hand.pop().delivery_id) == (False, 11)
    assert (in_hand.is_old_next, in_hand.has_live, in_hand.pop_live().delivery_id) == (True, True, 12)
    assert (in_hand.is_old_next, in_hand.has_live, in_hand.pop().delivery_id) == (True, False, 1)
    assert (in_hand.is_old_next, in_hand.has_live) == (False, False)

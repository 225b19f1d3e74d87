"""The deliveries a lane has in hand: few, whatever the backlog."""

from __future__ import annotations

from collections.abc import Collection
from heapq import heapify, heappop, heappush
from typing import Final

from domain.delivery import OfferedDelivery

MAX_BYTES: Final = 64 * 1024 * 1024
#: Deliveries done lately, so that an offer that was long on its way is known for what it is.
MAX_REMEMBERED: Final = 8192


class InHand:
    """Deliveries queued, under way, or waiting to be recorded: at most `capacity` of them and `MAX_BYTES` of fields.

    A delivery that is larger than that is still taken when it is the only one.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.queue: list[tuple[int, int, OfferedDelivery]] = []
        #: Delivery id -> bytes of its fields.
        self._sizes: dict[int, int] = {}
        self._bytes = 0
        self._attempts_done: dict[int, int] = {}
        self._released_in_read: set[int] | None = None
        self._is_strict = False

    def __len__(self) -> int:
        return len(self._sizes)

    @property
    def ids(self) -> list[int]:
        return list(self._sizes)

    @property
    def is_reading(self) -> bool:
        return self._released_in_read is not None

    def take(self, delivery: OfferedDelivery) -> bool:
        """Queues a delivery. False: there is no room for it now."""
        delivery_id, size = delivery.delivery_id, len(delivery.fields)
        if delivery_id in self._sizes:
            return True
        if self._sizes and (len(self._sizes) >= self.capacity or self._bytes + size > MAX_BYTES):
            return False
        self._sizes[delivery_id] = size
        self._bytes += size
        heappush(self.queue, (self._rank(delivery), delivery_id, delivery))
        return True

    def pop(self) -> OfferedDelivery:
        """The first of the queue, which stays in hand until it is released."""
        return heappop(self.queue)[2]

    def release(self, delivery_id: int) -> None:
        """Lets go of a delivery: what is to become of it is in the ledger."""
        self._bytes -= self._sizes.pop(delivery_id, 0)
        if self._released_in_read is not None:
            self._released_in_read.add(delivery_id)

    def release_queue(self) -> None:
        """Lets go of all that was not begun."""
        for _, delivery_id, _ in self.queue:
            self.release(delivery_id)
        self.queue.clear()

    def order(self, *, strictly: bool) -> None:
        """Queues what was recorded sooner (the ids tell) sooner, or else what is due sooner."""
        self._is_strict = strictly
        self.queue = [(self._rank(delivery), delivery_id, delivery) for _, delivery_id, delivery in self.queue]
        heapify(self.queue)

    def _rank(self, delivery: OfferedDelivery) -> int:
        return 0 if self._is_strict else delivery.due_at_ms

    def remember(self, delivery_id: int, attempts: int) -> None:
        """Keeps for a while how many attempts of a delivery are recorded."""
        self._attempts_done[delivery_id] = attempts
        if len(self._attempts_done) > MAX_REMEMBERED:
            del self._attempts_done[next(iter(self._attempts_done))]

    def is_outdated(self, delivery: OfferedDelivery) -> bool:
        """Whether an offer was overtaken by an attempt that it does not know of."""
        return self._attempts_done.get(delivery.delivery_id, 0) > delivery.attempts

    def begin_read(self) -> None:
        """The outbox is being read. What is released from now on may come out of it as it was before."""
        self._released_in_read = set()

    def end_read(self) -> Collection[int]:
        """Ids released since `begin_read`."""
        released, self._released_in_read = self._released_in_read or set(), None
        return released

"""Prefetch buffer of a lane: the few deliveries that it keeps in memory, whatever the size of its backlog."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from heapq import heapify, heappop, heappush
from typing import Final

from domain.delivery import OfferedDelivery

#: Deliveries that a lane may buffer.
CAPACITY: Final = 2000
MAX_BYTES: Final = 64 * 1024 * 1024
#: Bytes that each lane may buffer, however much the other lanes of its process buffer.
ASSURED_BYTES: Final = 64 * 1024
#: Recent deliveries whose attempts are remembered, to recognise offers that arrive late.
MAX_REMEMBERED: Final = 8192


class SharedBytes:
    """Bytes buffered by all lanes of a process beyond the assured bytes of each: at most `MAX_BYTES`."""

    __slots__ = ("used",)

    def __init__(self) -> None:
        self.used = 0


class _Half:
    """One half of the buffer: the size of each delivery in it, whether queued, in flight, or waiting to be recorded."""

    __slots__ = ("_shared", "bytes", "capacity", "sizes")

    def __init__(self, capacity: int, shared: SharedBytes) -> None:
        self.capacity = capacity
        self._shared = shared
        #: Delivery id -> bytes of its fields.
        self.sizes: dict[int, int] = {}
        self.bytes = 0

    def has_room(self, size: int) -> bool:
        """Whether a delivery fits. If it is the only one, it always does."""
        sizes, total = self.sizes, self.bytes + size
        if not sizes:
            return True
        if len(sizes) >= self.capacity or total > MAX_BYTES // 2:
            return False
        return total <= ASSURED_BYTES // 2 or self._shared.used + size <= MAX_BYTES

    def add(self, delivery_id: int, size: int) -> None:
        """Counts a delivery."""
        self.sizes[delivery_id] = size
        self._count(size)

    def remove(self, delivery_id: int) -> None:
        """Stops counting a delivery; does nothing if it is not in this half."""
        self._count(-self.sizes.pop(delivery_id, 0))

    def _count(self, size: int) -> None:
        before = self.bytes
        self.bytes += size
        assured = ASSURED_BYTES // 2
        self._shared.used += max(self.bytes - assured, 0) - max(before - assured, 0)


class PrefetchBuffer:
    """Deliveries queued, in flight, or waiting to be recorded: at most `capacity` of them and `MAX_BYTES` of fields.

    The lanes of a process share one limit of bytes, so that many backlogs use as little memory as one. Each lane is
    assured a few bytes, so that none waits for another loop's handler.

    One half is for offered live events. The other is for old ones from the outbox: the backlog, retries
    and replays. The two queues take turns, so that neither waits until the other is empty.
    """

    def __init__(self, capacity: int, shared: SharedBytes) -> None:
        self._live = _Half(max(capacity // 2, 1), shared)
        self._old = _Half(max(capacity // 2, 1), shared)
        self._live_queue: deque[OfferedDelivery] = deque()
        #: By rank, then by id.
        self._old_queue: list[tuple[int, int, OfferedDelivery]] = []
        self._is_old_next = False
        #: Whether the queue starts with the delivery that was recorded first, as an ordered lane needs it.
        self.is_in_order = False
        #: Failed deliveries to retry once their outcome is recorded.
        self.failed: dict[int, OfferedDelivery] = {}
        self._attempts_done: dict[int, int] = {}
        self._released_in_read: set[int] | None = None

    def __len__(self) -> int:
        return len(self._live.sizes) + len(self._old.sizes)

    @property
    def queued(self) -> int:
        """How many deliveries wait for an attempt."""
        return len(self._live_queue) + len(self._old_queue)

    @property
    def ids(self) -> list[int]:
        """Ids of all buffered deliveries."""
        return [*self._live.sizes, *self._old.sizes]

    @property
    def room_for_old(self) -> int:
        """How many more deliveries from the outbox fit."""
        return self._old.capacity - len(self._old.sizes)

    @property
    def is_low(self) -> bool:
        """Whether the half for the outbox is at most half full."""
        return 2 * len(self._old.sizes) <= self._old.capacity

    def is_in_flight(self, delivery_id: int) -> bool:
        """Whether an attempt of a delivery is in flight or waits to be recorded. Searches the queues."""
        is_here = delivery_id in self._live.sizes or delivery_id in self._old.sizes
        return is_here and not self._is_queued(delivery_id)

    def _is_queued(self, delivery_id: int) -> bool:
        return any(d.delivery_id == delivery_id for d in self._live_queue) or any(
            i == delivery_id for _, i, _ in self._old_queue
        )

    def add_live(self, delivery: OfferedDelivery) -> bool:
        """Queues an offered delivery behind the others. False: there is no room for it now."""
        delivery_id, size = delivery.delivery_id, len(delivery.fields)
        live = self._live
        if delivery_id in live.sizes or delivery_id in self._old.sizes:
            return True
        if not live.has_room(size):
            return False
        live.add(delivery_id, size)
        self._live_queue.append(delivery)
        return True

    def add_old(self, delivery: OfferedDelivery, rank: int) -> bool:
        """Queues a delivery from the outbox by rank, then id, lowest first. False: there is no room for it now."""
        delivery_id, size = delivery.delivery_id, len(delivery.fields)
        old = self._old
        if delivery_id in old.sizes or delivery_id in self._live.sizes:
            return True
        if not old.has_room(size):
            return False
        old.add(delivery_id, size)
        heappush(self._old_queue, (rank, delivery_id, delivery))
        return True

    def requeue(self, delivery: OfferedDelivery) -> None:
        """Queues a failed delivery again, ahead of the others from the outbox (by id if they have rank 0)."""
        heappush(self._old_queue, (0, delivery.delivery_id, delivery))

    def add_first(self, delivery: OfferedDelivery) -> None:
        """Queues a delivery ahead of all others. If there is no room, drops the queues: the outbox has the rest."""
        self.release_queued(delivery.delivery_id)
        if not self.add_old(delivery, -1):
            self.release_queue()
            self.add_old(delivery, -1)
        self._is_old_next = True

    def next_old(self) -> OfferedDelivery:
        """The next delivery from the outbox; the queue must not be empty."""
        return self._old_queue[0][2]

    @property
    def is_old_next(self) -> bool:
        """Whether `pop` would return a delivery from the outbox."""
        return bool(self._old_queue) and (self._is_old_next or not self._live_queue)

    @property
    def has_live(self) -> bool:
        """Whether a live event waits for an attempt."""
        return bool(self._live_queue)

    def pop(self) -> OfferedDelivery:
        """Takes the next delivery off the queues; it stays buffered until it is released."""
        if self._live_queue and not (self._is_old_next and self._old_queue):
            self._is_old_next = True
            return self._live_queue.popleft()
        self._is_old_next = False
        return heappop(self._old_queue)[2]

    def pop_live(self) -> OfferedDelivery:
        """Takes the next live event, even if it is an old one's turn."""
        return self._live_queue.popleft()

    def release(self, delivery_id: int) -> None:
        """Removes a delivery: the ledger has its state."""
        half = self._live if delivery_id in self._live.sizes else self._old
        half.remove(delivery_id)
        if self._released_in_read is not None:
            self._released_in_read.add(delivery_id)

    def release_queued(self, delivery_id: int) -> None:
        """Removes a delivery if it waits for an attempt. Searches the queues."""
        if self._is_queued(delivery_id):
            self._live_queue = deque(d for d in self._live_queue if d.delivery_id != delivery_id)
            self._old_queue = [entry for entry in self._old_queue if entry[1] != delivery_id]
            heapify(self._old_queue)
            self.release(delivery_id)

    def release_queue(self) -> None:
        """Removes all deliveries that wait for an attempt."""
        for delivery in self._live_queue:
            self.release(delivery.delivery_id)
        for _, delivery_id, _ in self._old_queue:
            self.release(delivery_id)
        self._live_queue.clear()
        self._old_queue.clear()

    def remember(self, delivery_id: int, attempts: int) -> None:
        """Remembers for a while how many attempts of a delivery are recorded."""
        self._attempts_done[delivery_id] = attempts
        if len(self._attempts_done) > MAX_REMEMBERED:
            del self._attempts_done[next(iter(self._attempts_done))]

    def is_outdated(self, delivery: OfferedDelivery) -> bool:
        """Whether an offer is older than an attempt that was recorded meanwhile."""
        return self._attempts_done.get(delivery.delivery_id, 0) > delivery.attempts

    def begin_read(self) -> None:
        """Notes that a read of the outbox starts: it may return deliveries that are released from now on."""
        self._released_in_read = set()

    def end_read(self) -> Collection[int]:
        """Ids released since `begin_read`."""
        released, self._released_in_read = self._released_in_read or set(), None
        return released

"""The deliveries a lane has in hand: few, whatever the backlog."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from heapq import heapify, heappop, heappush
from typing import Final

from domain.delivery import OfferedDelivery

MAX_BYTES: Final = 64 * 1024 * 1024
#: What a lane may have in hand whatever the others of its process have.
ASSURED_BYTES: Final = 64 * 1024
#: Deliveries done lately, so that an offer that was long on its way is known for what it is.
MAX_REMEMBERED: Final = 8192


class SharedBytes:
    """What all lanes of a process have in hand together, beyond what each is assured of: at most `MAX_BYTES`."""

    __slots__ = ("used",)

    def __init__(self) -> None:
        self.used = 0


class _Share:
    """One half of what is in hand: how much of it there is, queued, under way or waiting to be recorded."""

    __slots__ = ("_shared", "bytes", "capacity", "sizes")

    def __init__(self, capacity: int, shared: SharedBytes) -> None:
        self.capacity = capacity
        self._shared = shared
        #: Delivery id -> bytes of its fields.
        self.sizes: dict[int, int] = {}
        self.bytes = 0

    def has_room(self, size: int) -> bool:
        """Whether a delivery fits. One that is larger than the bound does when it is the only one."""
        sizes, total = self.sizes, self.bytes + size
        if not sizes:
            return True
        if len(sizes) >= self.capacity or total > MAX_BYTES // 2:
            return False
        return total <= ASSURED_BYTES // 2 or self._shared.used + size <= MAX_BYTES

    def add(self, delivery_id: int, size: int) -> None:
        """Takes note of a delivery that is in hand."""
        self.sizes[delivery_id] = size
        self._count(size)

    def remove(self, delivery_id: int) -> None:
        """Takes note that it is not, if it ever was."""
        self._count(-self.sizes.pop(delivery_id, 0))

    def _count(self, size: int) -> None:
        before = self.bytes
        self.bytes += size
        assured = ASSURED_BYTES // 2
        self._shared.used += max(self.bytes - assured, 0) - max(before - assured, 0)


class PrefetchBuffer:
    """Deliveries queued, under way, or waiting to be recorded: at most `capacity` of them and `MAX_BYTES` of fields.

    The lanes of a process share one bound of bytes, so that many backlogs take no more memory than one. Each is assured
    of a little, so that none waits for the handler of another.

    Half of that is for live events, as they are offered, and half for what comes out of the outbox: the old, retries
    and replays. When both have something queued they go in turns, so that neither waits for the end of the other.
    """

    def __init__(self, capacity: int, shared: SharedBytes) -> None:
        self._live = _Share(max(capacity // 2, 1), shared)
        self._old = _Share(max(capacity // 2, 1), shared)
        self._live_queue: deque[OfferedDelivery] = deque()
        #: By rank, then by id.
        self._old_queue: list[tuple[int, int, OfferedDelivery]] = []
        self._is_old_next = False
        self._attempts_done: dict[int, int] = {}
        self._released_in_read: set[int] | None = None

    def __len__(self) -> int:
        return len(self._live.sizes) + len(self._old.sizes)

    @property
    def queued(self) -> int:
        """Deliveries that wait for an attempt."""
        return len(self._live_queue) + len(self._old_queue)

    @property
    def ids(self) -> list[int]:
        return [*self._live.sizes, *self._old.sizes]

    @property
    def room_for_old(self) -> int:
        """How many more the outbox may give."""
        return self._old.capacity - len(self._old.sizes)

    @property
    def is_low(self) -> bool:
        """Whether at most half of what the outbox may give is there."""
        return 2 * len(self._old.sizes) <= self._old.capacity

    def is_begun(self, delivery_id: int) -> bool:
        """Whether an attempt of a delivery is under way, or waits to be recorded. Looks through all that is queued."""
        is_here = delivery_id in self._live.sizes or delivery_id in self._old.sizes
        return is_here and not self._is_queued(delivery_id)

    def _is_queued(self, delivery_id: int) -> bool:
        return any(d.delivery_id == delivery_id for d in self._live_queue) or any(
            i == delivery_id for _, i, _ in self._old_queue
        )

    def take_live(self, delivery: OfferedDelivery) -> bool:
        """Queues a delivery that was offered, behind the others. False: there is no room for it now."""
        delivery_id, size = delivery.delivery_id, len(delivery.fields)
        live = self._live
        if delivery_id in live.sizes or delivery_id in self._old.sizes:
            return True
        if not live.has_room(size):
            return False
        live.add(delivery_id, size)
        self._live_queue.append(delivery)
        return True

    def take_old(self, delivery: OfferedDelivery, rank: int) -> bool:
        """Queues a delivery out of the outbox: the lower its rank, then its id, the sooner. False: there is no room."""
        delivery_id, size = delivery.delivery_id, len(delivery.fields)
        old = self._old
        if delivery_id in old.sizes or delivery_id in self._live.sizes:
            return True
        if not old.has_room(size):
            return False
        old.add(delivery_id, size)
        heappush(self._old_queue, (rank, delivery_id, delivery))
        return True

    def take_back(self, delivery: OfferedDelivery) -> None:
        """Queues a delivery that was tried and is in hand still, before what came out of the outbox (if not by id)."""
        heappush(self._old_queue, (0, delivery.delivery_id, delivery))

    def take_first(self, delivery: OfferedDelivery) -> None:
        """Queues a delivery before all others. Where there is no room, what waits is left to the outbox."""
        self.release_queued(delivery.delivery_id)
        if not self.take_old(delivery, -1):
            self.release_queue()
            self.take_old(delivery, -1)
        self._is_old_next = True

    def first(self) -> OfferedDelivery:
        """What came out of the outbox and is next."""
        return self._old_queue[0][2]

    @property
    def is_old_next(self) -> bool:
        """Whether `pop` would give what came out of the outbox."""
        return bool(self._old_queue) and (self._is_old_next or not self._live_queue)

    @property
    def has_live(self) -> bool:
        """Whether a live event waits for an attempt."""
        return bool(self._live_queue)

    def pop(self) -> OfferedDelivery:
        """The next of the queues, which stays in hand until it is released."""
        if self._live_queue and not (self._is_old_next and self._old_queue):
            self._is_old_next = True
            return self._live_queue.popleft()
        self._is_old_next = False
        return heappop(self._old_queue)[2]

    def pop_live(self) -> OfferedDelivery:
        """The next live event, although it is the old one's turn."""
        return self._live_queue.popleft()

    def release(self, delivery_id: int) -> None:
        """Lets go of a delivery: what is to become of it is in the ledger."""
        share = self._live if delivery_id in self._live.sizes else self._old
        share.remove(delivery_id)
        if self._released_in_read is not None:
            self._released_in_read.add(delivery_id)

    def release_queued(self, delivery_id: int) -> None:
        """Lets go of a delivery if it waits for an attempt. Looks through all that is queued."""
        if self._is_queued(delivery_id):
            self._live_queue = deque(d for d in self._live_queue if d.delivery_id != delivery_id)
            self._old_queue = [entry for entry in self._old_queue if entry[1] != delivery_id]
            heapify(self._old_queue)
            self.release(delivery_id)

    def release_queue(self) -> None:
        """Lets go of all that waits for an attempt."""
        for delivery in self._live_queue:
            self.release(delivery.delivery_id)
        for _, delivery_id, _ in self._old_queue:
            self.release(delivery_id)
        self._live_queue.clear()
        self._old_queue.clear()

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

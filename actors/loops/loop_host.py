"""Many feedback loops in one process: each with its own lane, and at no cost while it has nothing to do."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from itertools import islice
from typing import Any, Final, NamedTuple, Protocol

from actors.compatibility import crosses
from actors.delivery.monotonic_clock import MonotonicWallClock
from actors.delivery.outbox_poller import OutboxPoller
from actors.ledger.port import LedgerReader
from actors.ports import Clock, HttpClient
from domain.delivery import OfferedDelivery
from domain.errors import FeedbackLoopsError, Moved, NotMigrated, Unavailable

log = logging.getLogger(__name__)

#: Loops awake at the same time, some 20 KB each, beyond which those that rest are put to sleep.
MAX_AWAKE: Final = 8192
#: Loops that the outbox has something for are woken so many at a time, with pauses: live traffic goes between.
WAKING_AT_ONCE: Final = 64
WAKING_PAUSE_S: Final = 0.05
#: How long a question whether it lives is open; its process's end answers it sooner.
BEAT_S: Final = 5.0
#: What a loop that rests needs to stop: there is nothing to wait for.
REST_S: Final = 1.0
#: The commands of a loop, by the names of the methods of its core.
COMMANDS: Final = frozenset(
    {
        "verify",
        "pause",
        "resume",
        "change",
        "rotate_secret",
        "secret",
        "delete",
        "send_sample",
        "replay",
        "cancel_replay",
        "retry_delivery",
    }
)


class LoopCore(Protocol):
    """A loop that is awake; see `actors.delivery.loop_runtime.LoopRuntime`."""

    @property
    def is_idle(self) -> bool: ...
    async def start(self) -> None: ...
    async def stop(self, drain_s: float) -> None: ...
    def offer(self, deliveries: Sequence[OfferedDelivery]) -> None: ...
    def nudge(self) -> None: ...


@crosses
class Standing(NamedTuple):
    """What a process is and holds."""

    #: Another one for each start of the process.
    life: str
    #: Ray's id of the node that it is on.
    node: str
    loops: list[str]


@crosses
class Order(NamedTuple):
    """Who orders a process what, so that none is carried out that was overtaken."""

    #: Of the process that is meant; "" for a question.
    life: str
    #: The life of the supervisor that orders.
    supervisor: str
    turn: int


class _Awake:
    """A loop that is awake, or on its way to be."""

    __slots__ = ("commands", "core", "failure", "started")

    def __init__(self, core: LoopCore) -> None:
        self.core = core
        self.started: asyncio.Task[None]
        #: Why it could not be woken.
        self.failure: Exception | None = None
        #: Commands under way.
        self.commands: set[asyncio.Task[Any]] = set()

    @property
    def is_idle(self) -> bool:
        return self.started.done() and not self.commands and self.core.is_idle


class LoopHost:
    """Holds the loops that it was given, and no other; a new one holds none.

    A loop that is held sleeps: it is a name in a set. It is woken by an offer, a nudge, a command, and when the outbox
    has something due for it, which one query a second tells for all loops. One that rests is put to sleep again when
    too many are awake.

    A loop that was let go delivers nothing any more, and no command of it is under way: another process may take it.
    """

    def __init__(
        self,
        *,
        life: str,
        node: str,
        make_core: Callable[[str], LoopCore],
        reader: LedgerReader,
        http_client: HttpClient,
        clock: Clock,
        max_awake: int = MAX_AWAKE,
    ) -> None:
        """`http_client` is all cores', and closed with the host."""
        self._life = life
        self._node = node
        self._make_core = make_core
        self._reader = reader
        self._can_read = False
        self._http_client = http_client
        self._max_awake = max_awake
        self._held: set[str] = set()
        #: Being let go of.
        self._leaving: set[str] = set()
        self._last_order = Order("", "", 0)
        #: The last question for what it holds.
        self._asked = self._last_order
        #: The one used longest ago first.
        self._awake: dict[str, _Awake] = {}
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._to_wake: deque[str] = deque()
        self._alarm: asyncio.TimerHandle | None = None
        self._watch = OutboxPoller(reader, MonotonicWallClock(clock), self._due)

    def start(self) -> None:
        """Begins to watch the outbox, in the running event loop."""
        self._watch.start()

    async def stop(self, drain_s: float) -> None:
        """Delivers no more, and records what was delivered, within about `drain_s`; for the end of the process.

        Loops at rest are left as they are: there may be thousands.
        """
        self._held.clear()
        await self._watch.stop()
        if self._alarm is not None:
            self._alarm.cancel()
        at_work = [loop_id for loop_id, awake in self._awake.items() if not awake.is_idle]
        await asyncio.gather(*(self._end(loop_id, drain_s) for loop_id in [*at_work, *self._ending]))
        await self._http_client.close()

    @property
    def awake(self) -> int:
        """How many loops are awake."""
        return len(self._awake)

    # --- the supervisor's orders

    async def check_reading(self) -> None:
        """Returns when the loops that it is given could be read.

        Raises:
            Unavailable: the ledger is not of this program's version yet: loops that are served elsewhere stay there.
        """
        if self._can_read:
            return
        try:
            await asyncio.to_thread(self._reader.newest_delivery_id)
        except NotMigrated as exc:
            raise Unavailable(str(exc)) from exc
        except FeedbackLoopsError:  # a store that is away is so for everybody: nobody is kept from anything
            return
        self._can_read = True

    def standing(self, order: Order) -> Standing:
        """What it is and holds. From now on it obeys the supervisor who asks, and no order from before."""
        self._asked, last = order, self._last_order
        if order.supervisor != last.supervisor or order.turn > last.turn:
            self._last_order = order
        return Standing(self._life, self._node, sorted(self._held))

    async def beat(self, life: str) -> None:
        """Returns after `BEAT_S`, while it is still in that life.

        Raises:
            Moved: it is another one.
        """
        if life != self._life:
            raise Moved("the process has been started anew")
        await asyncio.sleep(BEAT_S)

    async def take(self, order: Order, loop_ids: Iterable[str]) -> None:
        """Holds these loops too; those that are owed something are woken soon.

        Raises:
            Moved: the order was overtaken.
        """
        self._obey(order)
        self._held.update(loop_ids)
        self._watch.poll_now()

    async def let_go(self, order: Order, loop_ids: Collection[str], drain_s: float) -> list[str]:
        """Lets go of loops: of those that rest at once, of the others within about `drain_s`, 0: not at all.

        Gives those that it does not hold any more, or never did.

        Raises:
            Moved: the order was overtaken.
        """
        self._obey(order)
        gone = await asyncio.gather(*(self._let_go(loop_id, drain_s) for loop_id in loop_ids))
        return [loop_id for loop_id, is_gone in zip(loop_ids, gone, strict=True) if is_gone]

    def _obey(self, order: Order) -> None:
        last = self._last_order
        if (order.life, order.supervisor) != (self._life, last.supervisor) or order.turn < last.turn:
            raise Moved("the order was overtaken")
        self._last_order = order

    async def _let_go(self, loop_id: str, drain_s: float) -> bool:
        awake, asked = self._awake.get(loop_id), self._asked
        is_busy = awake is not None and not awake.is_idle
        if loop_id in self._leaving or (is_busy and not drain_s):
            return False
        self._leaving.add(loop_id)
        try:
            if awake is not None and awake.commands:
                await asyncio.wait(awake.commands, timeout=drain_s)
                if awake.commands:
                    return False
            await self._end(loop_id, drain_s or REST_S)
            if asked is not self._asked:  # it was told of as held meanwhile, and so it is
                return False
            self._held.discard(loop_id)
            return True
        finally:
            self._leaving.discard(loop_id)

    # --- what comes for the loops

    def offer(self, loop_id: str, deliveries: Sequence[OfferedDelivery]) -> None:
        """Takes what enrichment has just recorded, or looks into the outbox when that is nothing.

        Never blocks, and may drop it (the outbox has it).
        """
        awake = self._use(loop_id)
        if awake is not None and deliveries:
            awake.core.offer(deliveries)
        elif awake is not None:
            awake.core.nudge()

    async def ask(self, loop_id: str, command: str, *args: Any) -> Any:
        """Has a loop carry out one of `COMMANDS`.

        Raises:
            Moved: the loop is not here; nothing was done.
            FeedbackLoopsError: what the command says.
        """
        if command not in COMMANDS:
            raise ValueError(f"a loop has no command {command}")
        awake = self._use(loop_id)
        if awake is None:
            raise Moved(f"feedback loop {loop_id} is elsewhere")
        task = asyncio.create_task(_carry_out(awake, command, args), name="command")
        awake.commands.add(task)
        task.add_done_callback(awake.commands.discard)
        # A caller that gives up leaves a command that runs to its end, or it would not be known what it did.
        return await asyncio.shield(task)

    def _due(self, loop_ids: Sequence[str]) -> None:
        here = self._held.intersection(loop_ids)
        for loop_id in here.intersection(self._awake):
            self._awake[loop_id].core.nudge()
        self._to_wake = deque(here.difference(self._awake))
        self._wake_some()
        self._put_to_sleep(len(self._awake) - self._max_awake)

    # --- waking and sleeping

    def _use(self, loop_id: str) -> _Awake | None:
        """The loop, woken if need be; None when it is not here, or about to leave."""
        if loop_id not in self._held or loop_id in self._leaving:
            return None
        awake = self._awake.pop(loop_id, None) or self._wake(loop_id)
        self._awake[loop_id] = awake  # the last to be put to sleep
        return awake

    def _wake(self, loop_id: str) -> _Awake:
        awake = _Awake(self._make_core(loop_id))
        awake.started = asyncio.create_task(self._start(loop_id, awake), name="wake")
        return awake

    async def _start(self, loop_id: str, awake: _Awake) -> None:
        if (ending := self._ending.get(loop_id)) is not None:
            await asyncio.shield(ending)
        try:
            await awake.core.start()
        except Exception as exc:
            log.exception("a loop cannot be woken", extra={"action": "loop_not_started", "loop_id": loop_id})
            awake.failure = exc
            if self._awake.get(loop_id) is awake:
                del self._awake[loop_id]  # the next to use it tries again

    def _wake_some(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        for _ in range(min(WAKING_AT_ONCE, len(self._to_wake))):
            self._use(self._to_wake.popleft())
        if self._to_wake:
            self._alarm = asyncio.get_running_loop().call_later(WAKING_PAUSE_S, self._wake_some)

    def _put_to_sleep(self, count: int) -> None:
        if count > 0:
            resting = (loop_id for loop_id, awake in self._awake.items() if awake.is_idle)
            for loop_id in list(islice(resting, count)):
                self._begin_to_end(loop_id, REST_S)

    async def _end(self, loop_id: str, drain_s: float) -> None:
        if loop_id in self._awake:
            self._begin_to_end(loop_id, drain_s)
        if (ending := self._ending.get(loop_id)) is not None:
            await asyncio.shield(ending)

    def _begin_to_end(self, loop_id: str, drain_s: float) -> None:
        awake, before = self._awake.pop(loop_id), self._ending.get(loop_id)
        task = asyncio.create_task(_stop(awake, drain_s, before), name="sleep")
        self._ending[loop_id] = task
        task.add_done_callback(lambda done: self._ended(loop_id, done))

    def _ended(self, loop_id: str, task: asyncio.Task[None]) -> None:
        if self._ending.get(loop_id) is task:
            del self._ending[loop_id]


async def _carry_out(awake: _Awake, command: str, args: Sequence[Any]) -> Any:
    await asyncio.shield(awake.started)
    if awake.failure is not None:
        raise awake.failure
    return await getattr(awake.core, command)(*args)


async def _stop(awake: _Awake, drain_s: float, before: asyncio.Task[None] | None) -> None:
    awake.started.cancel()
    await asyncio.wait([awake.started])
    if before is not None:
        await before
    try:
        await awake.core.stop(drain_s)
    except Exception:  # it is over with this core either way, and others must not wait for it
        log.exception("a loop did not stop as it should", extra={"action": "loop_not_stopped"})

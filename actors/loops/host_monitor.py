"""What the supervisor knows of one process that holds loops, and how it gives it orders."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

from actors.loops.loop_host import Order, Standing
from actors.loops.placement import Node, Place, own_loop
from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

#: A place that does not answer is asked again after this.
RETRY_S: Final = 0.2
#: One that has not answered for so long hangs: it is killed, and Ray starts it anew.
HANGS_S: Final = 30.0
#: One that is being started is given longer, on a machine that has much to do.
STARTS_S: Final = 120.0


class Launcher(Protocol):
    """Starts and ends places, and speaks to them. Errors are those of `domain.errors`."""

    def found(self) -> Iterable[str]:
        """Names of the places that there are, whoever started them."""
        ...

    def nodes(self) -> list[Node]:
        """The machines that there are now."""
        ...

    async def start(self, name: str, node: str) -> None:
        """Has a place started, unless it is there; does not wait until it answers."""
        ...

    async def restart(self, name: str) -> None:
        """Kills a place, that Ray starts it anew."""
        ...

    async def end(self, name: str) -> None:
        """Lets a place record what it has in hand, then ends it for good."""
        ...

    async def standing(self, name: str, order: Order) -> Standing:
        """What the place is and holds; from now on it takes no order older than this one."""
        ...

    async def outlast(self, name: str, life: str) -> None:
        """Returns when that life of a place is over, or may be."""
        ...

    async def take(self, name: str, order: Order, loop_ids: Sequence[str]) -> None:
        """Has a place hold these loops too."""
        ...

    async def let_go(self, name: str, order: Order, loop_ids: Sequence[str], drain_s: float) -> list[str]:
        """Has a place let go of loops; gives those that it does not hold any more."""
        ...


class Known(NamedTuple):
    """The last that a place said of itself."""

    life: str
    node: str


class PlaceKeeper:
    """Knows whether a place is up and what it holds.

    When an order fails it is not known what became of it: the place is asked what it holds, and takes from then on none
    that was overtaken. `on_change` is told when it has answered or went away.
    """

    def __init__(
        self, name: str, launcher: Launcher, supervisor: str, on_change: Callable[[], None], *, is_unknown: bool
    ) -> None:
        """`is_unknown`: it was there before, so it may hold loops. `supervisor`: the supervisor's life."""
        self.name = name
        self._launcher = launcher
        self._supervisor = supervisor
        self._on_change = on_change
        #: Whether it may hold loops that it has not told of.
        self.is_unknown = is_unknown
        #: Whether it has never answered yet.
        self.is_starting = True
        self.is_up = False
        self._known = Known("", "")
        #: One of its own has its loop, if it has any.
        self._loops = {loop_id for loop_id in [own_loop(name)] if loop_id and is_unknown}
        #: Given to it, by the turn of the order that is under way; and by orders that failed since it was asked last.
        self._giving: dict[int, Sequence[str]] = {}
        self._doubtful: set[str] = set()
        self._turn = 0
        self._doubt = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def place(self) -> Place:
        return Place(self.name, self.is_up, self._loops, self._known.node)

    @property
    def loops(self) -> Collection[str]:
        return self._loops

    def start(self) -> None:
        """Begins to watch the place, in the running event loop."""
        self._task = asyncio.create_task(self._watch(), name=f"keep {self.name}")

    async def stop(self) -> None:
        """Watches it no more, and takes it for away."""
        self.is_up = False
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def take(self, loop_ids: Sequence[str]) -> None:
        """Gives it loops, which it is taken to hold from now on.

        Raises:
            FeedbackLoopsError: it may have taken them or not; it is being asked.
        """
        order = self._order()
        self._giving[order.turn] = loop_ids
        self._loops.update(loop_ids)
        try:
            await self._launcher.take(self.name, order, loop_ids)
        except FeedbackLoopsError:
            self._doubtful.update(loop_ids)
            self._be_in_doubt()
            raise
        finally:
            del self._giving[order.turn]

    async def let_go(self, loop_ids: Sequence[str], drain_s: float) -> list[str]:
        """Has it let go of loops, and gives those that it does not hold any more; see `LoopHost.let_go`.

        Raises:
            FeedbackLoopsError: it may have let go of them or not; it is being asked.
        """
        try:
            gone = await self._launcher.let_go(self.name, self._order(), loop_ids, drain_s)
        except FeedbackLoopsError:
            self._be_in_doubt()
            raise
        self._loops.difference_update(gone)
        return gone

    def _order(self) -> Order:
        self._turn += 1
        return Order(self._known.life, self._supervisor, self._turn)

    def _be_in_doubt(self) -> None:
        self.is_up = False
        self._doubt.set()

    async def _watch(self) -> None:
        silent_since_s = time.monotonic()
        while True:
            self._doubt.clear()
            doubtful, self._doubtful = self._doubtful, set()
            try:
                standing = await self._launcher.standing(self.name, self._order())
            except FeedbackLoopsError as exc:
                self._doubtful |= doubtful
                if time.monotonic() - silent_since_s > (STARTS_S if self.is_starting else HANGS_S):
                    facts = {"action": "place_hangs", "place": self.name, "error": str(exc)}
                    log.warning("a process of loops hangs", extra=facts)
                    await self._restart()
                    silent_since_s = time.monotonic()
                await asyncio.sleep(RETRY_S)
                continue
            self._found(standing)
            await self._lasts(standing.life)
            silent_since_s = time.monotonic()

    def _found(self, standing: Standing) -> None:
        if standing.life != self._known.life:
            log.info(
                "a process of loops is up",
                extra={"action": "place_up", "place": self.name, "loops": len(standing.loops)},
            )
        self._known = Known(standing.life, standing.node)
        # What was given to it after it was asked is not among what it told of.
        self._loops = set(standing.loops).union(self._doubtful, *self._giving.values())
        self.is_unknown = self.is_starting = False
        self.is_up = True
        self._on_change()

    async def _lasts(self, life: str) -> None:
        """Returns when it is to be asked again."""
        ends = {
            asyncio.create_task(self._doubt.wait(), name="doubt"),
            asyncio.create_task(self._launcher.outlast(self.name, life), name="outlast"),
        }
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        self.is_up = False
        self._on_change()

    async def _restart(self) -> None:
        try:
            await self._launcher.restart(self.name)
        except FeedbackLoopsError as exc:
            log.warning(
                "a process of loops cannot be started anew",
                extra={"action": "place_lost", "place": self.name, "error": str(exc)},
            )

"""The supervisor: decides where each loop lives, and sees to it that it does."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from actors.ledger.port import LedgerReader
from actors.loops import placement
from actors.loops.host_monitor import Launcher, PlaceKeeper
from actors.loops.location_registry import PlacesLog
from actors.loops.placement import Move, Node, Place, Plan
from actors.metrics import registry
from domain.errors import FeedbackLoopsError, Unavailable

log = logging.getLogger(__name__)

#: How often the ledger is asked which loops there are, and Ray which nodes; changes are also told.
REFRESH_S: Final = 5.0
#: A round looks at every loop; what happens in the meantime is looked at together.
ROUND_PAUSE_S: Final = 0.1
#: Starting a process takes a core about a second. Loops wait for hosts, and for nothing else: of the processes of their
#: own, which they can do without, one is started for each refresh, so that traffic hardly notices.
HOSTS_STARTING_AT_ONCE: Final = 2
#: Loops that take their time to let go, moved at the same time.
DRAINING_AT_ONCE: Final = 16
#: Beyond the time of one attempt, for the record of it.
RECORDING_S: Final = 5.0
DELETED_DRAIN_S: Final = 2.0
LOCATE_S: Final = 25.0
#: One that was told to rest decides again after this: who told it so may have died since.
RESTING_S: Final = 10.0
#: How long it waits then for loops that are on their way; those at work may take much longer.
ARRIVING_S: Final = 1.0


Work = Callable[..., Awaitable[None]]


class Supervisor:
    """Decides alone which process holds a loop, so that no two deliver it at the same time.

    It gives a loop to a process only when no other holds it, as far as that can be known: one that let go of it said
    so, one that died was started anew by Ray and answered that it holds nothing. What it knows is what the processes
    say; one that starts anew asks them all, and gives nothing before every host has answered.
    """

    def __init__(
        self,
        reader: LedgerReader,
        launcher: Launcher,
        *,
        life: str,
        budget: int | None,
        delivery_timeout_s: float,
        starts_failed: registry.Counter | None = None,
    ) -> None:
        """`life`: another one for each start. `budget`: processes of loops, None for what the nodes carry.

        `starts_failed` counts the processes that could not be started.
        """
        self._starts_failed = starts_failed or registry.Counter()
        self._reader = reader
        self._launcher = launcher
        self._life = life
        self._budget = budget
        self._drain_s = delivery_timeout_s + RECORDING_S
        self.places = PlacesLog(life)
        self._keepers: dict[str, PlaceKeeper] = {}
        self._may_start_own = False
        #: Whether it has found what places there are.
        self._has_looked = False
        #: Oldest first.
        self._loops: dict[str, None] = {}
        #: Those told of while the ledger is being read.
        self._fresh: set[str] = set()
        self._nodes: list[Node] = []
        #: Loops on their way from one place to another.
        self._moving: Counter[str] = Counter()
        #: Places that are being started or ended.
        self._busy: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = asyncio.Semaphore(DRAINING_AT_ONCE)
        self._rests_until_s = 0.0
        self._stir = asyncio.Event()
        self._change = asyncio.Event()

    # --- life

    def start(self) -> None:
        """Begins to place loops, in the background."""
        self._do(self._forever, self._refresh, REFRESH_S)
        self._do(self._forever, self._round, ROUND_PAUSE_S)

    async def rest(self) -> None:
        """Moves no loop any more, for a while, and returns when those on their way have arrived, or most of them.

        For who ends this process next: a loop that is nowhere then waits until another supervisor has looked around.
        """
        self._rests_until_s = asyncio.get_running_loop().time() + RESTING_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ARRIVING_S):
                while self._moving:
                    await self._change.wait()

    @property
    def _is_resting(self) -> bool:
        return asyncio.get_running_loop().time() < self._rests_until_s

    async def stop(self) -> None:
        """Ends every place, letting each record what it has in hand; starts none again."""
        for task in self._tasks:
            task.cancel()
        keepers = list(self._keepers.values())
        await asyncio.gather(*(keeper.stop() for keeper in keepers), return_exceptions=True)
        await asyncio.gather(*(self._launcher.end(keeper.name) for keeper in keepers), return_exceptions=True)

    # --- what is asked

    async def locate(self, loop_id: str) -> str:
        """The name of the place that holds the loop, as soon as one does.

        Raises:
            Unavailable: none does for long.
        """
        try:
            async with asyncio.timeout(LOCATE_S):
                return await self._locate(loop_id)
        except TimeoutError:
            raise Unavailable(f"feedback loop {loop_id} is being started; try again shortly") from None

    async def _locate(self, loop_id: str) -> str:
        if loop_id not in self._loops:
            self._loops[loop_id] = None
            self._fresh.add(loop_id)
            self._place_at_once(loop_id)
        while (name := self.places.get(loop_id)) is None or not self._is_served(loop_id, name):
            await self._change.wait()
        return name

    async def release(self, loop_id: str) -> None:
        """A loop was deleted: it is let go."""
        self._loops.pop(loop_id, None)
        self._fresh.discard(loop_id)
        self._stir.set()

    async def replace(self, name: str) -> None:
        """Ends a place, each of its loops when it has recorded what it has in hand; they are placed anew at once.

        After a host it returns when there are as many of them as before, or when that takes too long: so the loops of
        the next one to be replaced find another that is up.
        """
        if name not in self._keepers:  # we were started just now
            await self._look_for_places()
        keeper = self._keepers.get(name)
        if keeper is None or name in self._busy:
            return
        hosts = self._hosts_up
        self._busy.add(name)
        await self._end(keeper)
        if keeper.place.is_host:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOCATE_S):
                    while self._hosts_up < hosts:
                        await self._change.wait()

    @property
    def _hosts_up(self) -> int:
        return sum(keeper.is_up and keeper.place.is_host for keeper in self._keepers.values())

    def _is_served(self, loop_id: str, name: str) -> bool:
        keeper = self._keepers.get(name)
        return keeper is not None and keeper.is_up and loop_id not in self._moving

    def _place_at_once(self, loop_id: str) -> None:
        """A new loop does not wait for a whole plan; only a small installation has a process of its own for it."""
        is_resting = self._is_resting
        name = None if is_resting or self._is_recovering else placement.least_loaded(self._view())
        if name is not None:
            self._begin([loop_id], self._give, name, [loop_id])
        if is_resting or len(self._keepers) < self._budget_now:
            self._stir.set()

    # --- what there is

    @property
    def _budget_now(self) -> int:
        return placement.budget_of(self._nodes) if self._budget is None else self._budget

    @property
    def _is_recovering(self) -> bool:
        """Whether there may be a host of which it is not known what it holds."""
        if not self._has_looked:
            return True
        return any(keeper.is_unknown and keeper.place.is_host for keeper in self._keepers.values())

    def _view(self) -> list[Place]:
        return [keeper.place for keeper in self._keepers.values()]

    async def _refresh(self) -> None:
        self._fresh.clear()
        self._nodes = await asyncio.to_thread(self._launcher.nodes)
        loops = await asyncio.to_thread(self._reader.running_loops)
        self._loops = dict.fromkeys([*loops, *(loop_id for loop_id in self._loops if loop_id in self._fresh)])
        await self._look_for_places()
        self._may_start_own = True
        self._stir.set()

    async def _look_for_places(self) -> None:
        settled = [keeper for keeper in self._keepers.values() if not keeper.is_up and keeper.name not in self._busy]
        found = set(await asyncio.to_thread(self._launcher.found))
        for name in found.difference(self._keepers):
            self._keep(name, is_unknown=True)
        self._has_looked = True
        for keeper in settled:
            if keeper.name not in found and not keeper.is_up:  # ended for good, whoever did that
                await self._forget(keeper)

    async def _forget(self, keeper: PlaceKeeper) -> None:
        if self._keepers.get(keeper.name) is keeper:
            del self._keepers[keeper.name]
        await keeper.stop()
        self._changed()

    def _keep(self, name: str, *, is_unknown: bool) -> PlaceKeeper:
        def changed() -> None:
            self.places.note(keeper.loops, name)
            self._changed()

        keeper = PlaceKeeper(name, self._launcher, self._life, changed, is_unknown=is_unknown)
        self._keepers[name] = keeper
        keeper.start()
        return keeper

    def _changed(self) -> None:
        """There may be something to do."""
        self._stir.set()
        self._tell()

    def _tell(self) -> None:
        """A loop that somebody looks for may be there."""
        changed, self._change = self._change, asyncio.Event()
        changed.set()

    # --- rounds

    async def _round(self) -> None:
        await self._stir.wait()
        if self._is_resting:
            return
        self._stir.clear()
        if not self._nodes or self._is_recovering:
            return
        self.places.open()
        self._carry_out(placement.decide(list(self._loops), self._view(), self._nodes, self._budget_now, self._moving))

    def _carry_out(self, plan: Plan) -> None:
        starting = sum(keeper.is_starting for keeper in self._keepers.values())
        for name, node in plan.start:
            if placement.own_loop(name) is None:
                may_start = starting < HOSTS_STARTING_AT_ONCE
            else:
                may_start, self._may_start_own = self._may_start_own and not starting, False
            if not may_start:
                break
            starting += 1
            self._busy.add(name)
            self._do(self._start, self._keep(name, is_unknown=False), node)
        for name, loop_ids in plan.give.items():
            self._begin(loop_ids, self._give, name, loop_ids)
        for move in plan.move:
            self._begin(move.loops, self._move, move)
        for name, loop_ids in plan.drop.items():
            self._begin(loop_ids, self._drop, name, loop_ids)
        for name in plan.end:
            self._busy.add(name)
            self._do(self._end, self._keepers[name])

    async def _start(self, keeper: PlaceKeeper, node: str) -> None:
        try:
            await self._launcher.start(keeper.name, node)
        except FeedbackLoopsError:
            self._starts_failed.value += 1
            await self._forget(keeper)
            raise
        finally:
            self._busy.discard(keeper.name)

    async def _end(self, keeper: PlaceKeeper) -> None:
        await keeper.stop()
        try:
            await self._launcher.end(keeper.name)
        finally:
            await self._forget(keeper)
            self._busy.discard(keeper.name)

    async def _give(self, name: str, loop_ids: Sequence[str]) -> None:
        await self._keepers[name].take(loop_ids)
        self.places.note(loop_ids, name)

    async def _move(self, move: Move) -> None:
        """Those that rest, all together; then the others, each when its handler has answered what is under way."""
        gone = await self._keepers[move.from_name].let_go(move.loops, 0.0)
        for loop_id in set(move.loops).difference(gone):
            self._begin([loop_id], self._move_at_work, loop_id, move)
        await self._give(move.to_name, gone)
        self._stir.set()  # the place that they left may have more to give, or nothing, and end

    async def _move_at_work(self, loop_id: str, move: Move) -> None:
        async with self._draining:
            if await self._keepers[move.from_name].let_go([loop_id], self._drain_s):
                await self._give(move.to_name, [loop_id])
        self._stir.set()

    async def _drop(self, name: str, loop_ids: Sequence[str]) -> None:
        for loop_id in await self._keepers[name].let_go(loop_ids, DELETED_DRAIN_S):
            elsewhere = (keeper.name for keeper in self._keepers.values() if loop_id in keeper.loops)
            self.places.note([loop_id], next(elsewhere, ""))
        self._stir.set()

    # --- tasks

    def _begin(self, loop_ids: Sequence[str], work: Work, *args: Any) -> None:
        """Does something with loops, which nothing else is done with meanwhile."""
        self._moving.update(loop_ids)
        self._do(self._undisturbed, loop_ids, work, args)

    async def _undisturbed(self, loop_ids: Sequence[str], work: Work, args: Sequence[Any]) -> None:
        try:
            await work(*args)
        except BaseException:
            self._stir.set()
            raise
        finally:
            self._moving -= Counter(loop_ids)
            self._tell()

    def _do(self, work: Work, *args: Any) -> None:
        task = asyncio.create_task(_logged(work, *args))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forever(self, work: Work, pause_s: float) -> None:
        while True:
            # One bad round must not end the watch; the next one starts from the facts again.
            await _logged(work)
            await asyncio.sleep(pause_s)


async def _logged(work: Work, *args: Any) -> None:
    try:
        await work(*args)
    except FeedbackLoopsError as exc:
        facts = {"action": "placing_waits", "error": str(exc)}
        log.warning("loops cannot be placed as they should", extra=facts)
    except Exception:
        log.exception("placing loops failed", extra={"action": "placing_failed"})

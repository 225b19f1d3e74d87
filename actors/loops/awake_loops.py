"""Awake loops of a host: woken on demand, and put to sleep when too many rest."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import Any, Final, Protocol, TypeVar

from actors.commands.command import Command
from domain.delivery import OfferedDelivery

R = TypeVar("R")

log = logging.getLogger(__name__)

#: Seconds for a resting loop to stop: it has nothing to wait for.
REST_S: Final = 1.0


class Runtime(Protocol):
    """Runtime of an awake loop; see `actors.delivery.loop_runtime.LoopRuntime`."""

    @property
    def is_idle(self) -> bool: ...
    async def start(self) -> None: ...
    async def stop(self, drain_s: float) -> None: ...
    def offer(self, deliveries: Sequence[OfferedDelivery]) -> None: ...
    def nudge(self) -> None: ...
    async def forget_queued(self) -> None: ...
    async def handle(self, command: Command[R]) -> R: ...


class AwakeLoop:
    """A loop that is awake, or waking up."""

    __slots__ = ("commands", "failure", "runtime", "started")

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.started: asyncio.Task[None]
        #: The error that kept it from starting.
        self.failure: Exception | None = None
        #: Commands in progress.
        self.commands: set[asyncio.Task[Any]] = set()

    @property
    def is_idle(self) -> bool:
        return self.started.done() and not self.commands and self.runtime.is_idle

    async def call(self, command: Command[R]) -> R:
        """Passes a command to the runtime once the loop has started. Raises what the handler raises."""
        task = asyncio.create_task(self._call(command), name="command")
        self.commands.add(task)
        task.add_done_callback(self.commands.discard)
        # The command runs to its end even if its caller gives up: if cancelled, it might be half done.
        return await asyncio.shield(task)

    async def _call(self, command: Command[R]) -> R:
        await asyncio.shield(self.started)
        if self.failure is not None:
            raise self.failure
        return await self.runtime.handle(command)


class AwakeLoops:
    """The awake loops, least recently used first, and those on their way to sleep."""

    def __init__(self, make_runtime: Callable[[str], Runtime]) -> None:
        self._make_runtime = make_runtime
        self._awake: dict[str, AwakeLoop] = {}
        self._stopping: dict[str, asyncio.Task[None]] = {}

    def __len__(self) -> int:
        return len(self._awake)

    def __iter__(self) -> Iterator[str]:
        return iter(self._awake)

    def get(self, loop_id: str) -> AwakeLoop | None:
        """The loop, if it is awake."""
        return self._awake.get(loop_id)

    def use(self, loop_id: str) -> AwakeLoop:
        """The loop, woken up if need be, as the most recently used one."""
        awake = self._awake.pop(loop_id, None) or self._wake(loop_id)
        self._awake[loop_id] = awake
        return awake

    def rest(self, count: int) -> None:
        """Puts up to `count` resting loops to sleep, the least recently used first."""
        if count > 0:
            resting = (loop_id for loop_id, awake in self._awake.items() if awake.is_idle)
            for loop_id in list(islice(resting, count)):
                self._start_stopping(loop_id, REST_S)

    async def stop(self, loop_id: str, drain_s: float) -> None:
        """Returns when the loop is asleep."""
        if loop_id in self._awake:
            self._start_stopping(loop_id, drain_s)
        if (stopping := self._stopping.get(loop_id)) is not None:
            await asyncio.shield(stopping)

    async def forget_queued(self, loop_ids: Collection[str]) -> None:
        """Returns when these loops have forgotten the deliveries that they had read, or are asleep."""
        awake = [awake for loop_id in loop_ids if (awake := self._awake.get(loop_id)) is not None]
        stopping = [task for loop_id in loop_ids if (task := self._stopping.get(loop_id)) is not None]
        await asyncio.gather(*map(_forget_queued, awake), *map(asyncio.shield, stopping))

    async def stop_working(self, drain_s: float) -> None:
        """Stops the loops that are not idle. Idle ones, of which there may be thousands, need no stop."""
        working = [loop_id for loop_id, awake in self._awake.items() if not awake.is_idle]
        await asyncio.gather(*(self.stop(loop_id, drain_s) for loop_id in [*working, *self._stopping]))

    def _wake(self, loop_id: str) -> AwakeLoop:
        awake = AwakeLoop(self._make_runtime(loop_id))
        awake.started = asyncio.create_task(self._start(loop_id, awake), name="wake")
        return awake

    async def _start(self, loop_id: str, awake: AwakeLoop) -> None:
        if (stopping := self._stopping.get(loop_id)) is not None:
            await asyncio.shield(stopping)
        try:
            await awake.runtime.start()
        except Exception as exc:
            log.exception("a loop cannot be started", extra={"action": "loop_not_started", "loop_id": loop_id})
            awake.failure = exc
            if self._awake.get(loop_id) is awake:
                del self._awake[loop_id]  # its next use retries the start

    def _start_stopping(self, loop_id: str, drain_s: float) -> None:
        awake, before = self._awake.pop(loop_id), self._stopping.get(loop_id)
        task = asyncio.create_task(_stop(awake, drain_s, before), name="sleep")
        self._stopping[loop_id] = task
        task.add_done_callback(lambda done: self._stopped(loop_id, done))

    def _stopped(self, loop_id: str, task: asyncio.Task[None]) -> None:
        if self._stopping.get(loop_id) is task:
            del self._stopping[loop_id]


async def _forget_queued(awake: AwakeLoop) -> None:
    await asyncio.wait([awake.started])
    if awake.commands:  # a retry may have read its delivery
        await asyncio.wait(awake.commands)
    if awake.failure is None:
        await awake.runtime.forget_queued()


async def _stop(awake: AwakeLoop, drain_s: float, before: asyncio.Task[None] | None) -> None:
    awake.started.cancel()
    await asyncio.wait([awake.started])
    if before is not None:
        await before
    try:
        if awake.commands:
            await asyncio.gather(awake.runtime.stop(drain_s), asyncio.wait(awake.commands, timeout=drain_s))
        else:
            await awake.runtime.stop(drain_s)
    except Exception:  # the runtime is discarded either way, and other loops must not wait for it
        log.exception("error while stopping a loop", extra={"action": "loop_not_stopped"})

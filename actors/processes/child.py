"""Processes that are kept running: started again when they end, stopped in the end, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from actors.process_setup.pdeathsig import wrapped

log = logging.getLogger(__name__)

#: Seconds within which a process that ends has probably never worked.
YOUNG_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run."""

    #: For the log.
    name: str
    #: The first is a path.
    command: tuple[str, ...]
    environment: Mapping[str, str]
    #: File descriptors that the process inherits, under the same numbers.
    pass_fds: tuple[int, ...] = ()
    #: Where its output goes; None: to our own stderr.
    output: Path | None = None
    #: What to look at when it ends within `YOUNG_S`, for the log.
    advice: str | None = None


class ChildProcess:
    """A process in a group of its own, so that a Ctrl-C in the terminal is the parent's alone to handle.

    It is killed when its parent dies (Linux).
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self.pid = process.pid

    @classmethod
    async def start(cls, program: Program) -> Self:
        """Starts it; returns at once.

        Raises:
            OSError: it cannot be started.
        """
        with contextlib.ExitStack() as stack:
            output = 2 if program.output is None else stack.enter_context(program.output.open("ab"))
            process = await asyncio.create_subprocess_exec(
                *wrapped(list(program.command), signal.SIGKILL),
                env=program.environment,
                pass_fds=program.pass_fds,
                stdin=DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        return cls(process)

    async def wait(self) -> int:
        """Its exit code, or minus the number of the signal that ended it, once it has ended."""
        return await self._process.wait()

    async def stop(self, timeout_s: float) -> None:
        """Asks it to end with SIGTERM, and kills its group after `timeout_s`. It is gone when this returns."""
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            self._process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(self._process.wait(), timeout_s)
        self.kill()
        await self._process.wait()

    def kill(self) -> None:
        """Kills (SIGKILL) its group, whether it runs or not."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


class Backoff:
    """How long to wait before the next start: doubling while the process keeps dying young."""

    def __init__(self, first_s: float = 0.2, last_s: float = 5.0, settled_s: float = 30.0) -> None:
        """A process that was up for `settled_s` starts again after `first_s`, as if it had never died."""
        self._first_s = first_s
        self._last_s = last_s
        self._settled_s = settled_s
        self._next_s = first_s

    def delay_s(self, uptime_s: float) -> float:
        """The wait after a process that was up for `uptime_s`."""
        if uptime_s >= self._settled_s:
            self._next_s = self._first_s
        delay_s = self._next_s
        self._next_s = min(2 * delay_s, self._last_s)
        return delay_s


class KeptRunning:
    """A program that runs from `run` to `stop`, in one process after another."""

    def __init__(self, program: Program, backoff: Callable[[], Backoff] = Backoff) -> None:
        self._program = program
        self._backoff = backoff()
        self._child: ChildProcess | None = None
        self._is_stopping = False

    @property
    def pid(self) -> int | None:
        """The process's id while there is one."""
        return None if self._child is None else self._child.pid

    async def run(self) -> None:
        """Keeps it running until it is stopped, or this is cancelled; a cancelled run leaves the process alone."""
        while not self._is_stopping:
            began_s = time.monotonic()
            try:
                self._child = await ChildProcess.start(self._program)
                log.info("started", extra={"action": "child_started", "child": self._program.name, "pid": self.pid})
                if self._is_stopping:  # while it was being started
                    self._child.kill()
                ending: object = await self._child.wait()
                self._child.kill()  # what it may have started itself
            except OSError as exc:
                ending = exc
            self._child = None
            if not self._is_stopping:
                await self._pause(ending, time.monotonic() - began_s)

    async def _pause(self, ending: object, uptime_s: float) -> None:
        delay_s = self._backoff.delay_s(uptime_s)
        facts = {"child": self._program.name, "ending": ending, "uptime_s": f"{uptime_s:.1f}", "restart_s": delay_s}
        if uptime_s < YOUNG_S:
            facts["advice"] = self._program.advice
        log.error("ended by itself and is started again", extra={"action": "child_died", **facts})
        await asyncio.sleep(delay_s)

    async def stop(self, timeout_s: float) -> None:
        """Ends it for good: SIGTERM, and after `timeout_s` SIGKILL."""
        self._is_stopping = True
        if self._child is not None:
            await self._child.stop(timeout_s)

    def kill(self) -> None:
        """Ends it for good, now."""
        self._is_stopping = True
        if self._child is not None:
            self._child.kill()

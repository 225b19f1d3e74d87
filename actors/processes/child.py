"""Child processes: started, restarted with a backoff when they end, and never left behind."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from actors.process_setup.pdeathsig import killed_with_parent
from actors.settings.data_dir_watch import INTERVAL_S, UNWATCHED, DataDirWatch

log = logging.getLogger(__name__)

KILLED_ADVICE: Final = (
    "it was killed, perhaps by the kernel because memory ran out: see `dmesg`, and the limits of the unit or container"
)
#: Seconds that a killed process has to end. One that waits for a stuck disk does not, and is left to the kernel.
KILLED_S: Final = 1.0
#: A process that ends within this many seconds has probably never worked.
YOUNG_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A program to run."""

    #: The name in log lines.
    name: str
    #: The first item is a path.
    command: tuple[str, ...]
    environment: Mapping[str, str]
    #: The working directory.
    directory: Path
    #: File descriptors that the process inherits, under the same numbers.
    pass_fds: tuple[int, ...] = ()
    #: The file, or an open file descriptor, for its output; None: this process's stderr.
    output: Path | int | None = None
    #: Whether its standard output is this process's, for people. Otherwise it goes where the log goes.
    talks: bool = False
    #: Advice for the log if it ends within `YOUNG_S`.
    advice: str | None = None
    #: It is only started while this finds no problem with its data directory.
    watch: DataDirWatch = UNWATCHED
    #: What it reads from its standard input. Secrets are passed here: an environment can be read by other processes,
    #: and is inherited.
    input: bytes = field(default=b"", repr=False)


class ChildProcess:
    """A child process in its own process group, so that Ctrl-C in the terminal only reaches the parent.

    On Linux it is killed when its parent dies.
    """

    def __init__(self, process: Process) -> None:
        self._process = process
        self.pid = process.pid

    @classmethod
    async def start(cls, program: Program) -> Self:
        """Starts the program and returns at once.

        Raises:
            OSError: it cannot be started.
        """
        with contextlib.ExitStack() as stack:
            output = 2 if program.output is None else program.output
            if isinstance(output, Path):
                output = stack.enter_context(output.open("ab")).fileno()
            process = await asyncio.create_subprocess_exec(
                *killed_with_parent(list(program.command), signal.SIGKILL),
                env=program.environment,
                cwd=program.directory,
                pass_fds=program.pass_fds,
                stdin=PIPE if program.input else DEVNULL,
                stdout=1 if program.talks else output,
                stderr=output,
                start_new_session=True,
            )
        if process.stdin is not None:
            process.stdin.write(program.input)
            process.stdin.close()
        return cls(process)

    async def wait(self) -> int:
        """Waits for the end. Returns the exit code, or minus the number of the signal that ended the process."""
        return await self._process.wait()

    def signal(self, number: int) -> None:
        """Sends a signal, unless the process has ended."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)

    async def stop(self, timeout_s: float) -> int:
        """Sends SIGTERM, and kills the process group after `timeout_s`. Returns like `wait`.

        A process that cannot end although it was killed counts as ended.
        """
        with contextlib.suppress(ProcessLookupError, TimeoutError):
            self._process.send_signal(signal.SIGTERM)
            await asyncio.wait_for(self._process.wait(), timeout_s)
        self.kill()
        with contextlib.suppress(TimeoutError):
            return await asyncio.wait_for(self._process.wait(), KILLED_S)
        log.error("a killed process does not end", extra={"action": "child_stuck", "pid": self.pid})
        return -signal.SIGKILL

    def kill(self) -> None:
        """Kills the process group with SIGKILL, even if the process itself has ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)


class Backoff:
    """Delays between restarts, doubled each time the process ends early."""

    def __init__(self, first_s: float = 0.2, last_s: float = 5.0, settled_s: float = 30.0) -> None:
        """Starts again at `first_s` after a process that ran for at least `settled_s`."""
        self._first_s = first_s
        self._last_s = last_s
        self._settled_s = settled_s
        self._next_s = first_s

    def delay_s(self, uptime_s: float) -> float:
        """The delay after a process that ran for `uptime_s`."""
        if uptime_s >= self._settled_s:
            self._next_s = self._first_s
        delay_s = self._next_s
        self._next_s = min(2 * delay_s, self._last_s)
        return delay_s


class SupervisedProcess:
    """A program that runs until `stop`, restarted whenever its process ends."""

    def __init__(self, program: Program, backoff: Callable[[], Backoff] = Backoff) -> None:
        self._program = program
        self._backoff = backoff()
        self._child: ChildProcess | None = None
        self._is_stopping = False

    @property
    def pid(self) -> int | None:
        """The id of the current process, if there is one."""
        return None if self._child is None else self._child.pid

    async def run(self) -> None:
        """Starts and restarts the program until `stop`. If this is cancelled, the current process keeps running."""
        while not self._is_stopping:
            began_s = time.monotonic()
            if self._program.watch.check():
                await asyncio.sleep(INTERVAL_S)
                continue
            try:
                self._child = await ChildProcess.start(self._program)
                log.info("started", extra={"action": "child_started", "child": self._program.name, "pid": self.pid})
                if self._is_stopping:  # set during the start
                    self._child.kill()
                ending: object = await self._child.wait()
                self._child.kill()  # ends the processes that it started
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
        if ending == -signal.SIGKILL:
            facts |= {"ending": "SIGKILL", "advice": KILLED_ADVICE}
        log.error("ended unexpectedly and will be restarted", extra={"action": "child_died", **facts})
        await asyncio.sleep(delay_s)

    def signal_last(self, number: int) -> None:
        """Announces `stop` to the process with a signal of its own. From now on, it is not restarted."""
        self._is_stopping = True
        if self._child is not None:
            self._child.signal(number)

    async def stop(self, timeout_s: float) -> int | None:
        """Stops the program for good: SIGTERM, and SIGKILL after `timeout_s`.

        Returns the exit code, or minus the number of the signal that ended the process; None if there was no process.
        """
        self._is_stopping = True
        return None if self._child is None else await self._child.stop(timeout_s)

    def kill(self) -> None:
        """Kills the program for good, now."""
        self._is_stopping = True
        if self._child is not None:
            self._child.kill()

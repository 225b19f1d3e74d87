"""Child processes: restarts, stops, and the death of the parent."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil

from actors.process_setup.pdeathsig import killed_with_parent
from actors.processes.child import Backoff, ChildProcess, Program, SupervisedProcess
from tests.service import eventually

ENVIRONMENT = {"PATH": os.environ["PATH"]}
STUBBORN = "import signal, sys; signal.signal(15, signal.SIG_IGN); print('up', flush=True); signal.pause()"


def program(tmp_path: Path, code: str, *arguments: str) -> Program:
    command = (sys.executable, "-I", "-S", "-c", code, *arguments)
    return Program(
        name="test", command=command, environment=ENVIRONMENT, directory=tmp_path, output=tmp_path / "output"
    )


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def timed() -> None:
        async with asyncio.timeout(20):
            await work()

    asyncio.run(timed())


async def until(check: Callable[[], object]) -> None:
    while not check():
        await asyncio.sleep(0.01)


def output(tmp_path: Path) -> list[str]:
    return (tmp_path / "output").read_text().split() if (tmp_path / "output").exists() else []


def test_the_delay_doubles_and_is_reset() -> None:
    """Delays double up to the limit; after a long run they start again with the first."""
    backoff = Backoff(first_s=0.2, last_s=5, settled_s=30)

    assert [backoff.delay_s(1) for _ in range(7)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5, 5]
    assert [backoff.delay_s(uptime_s) for uptime_s in (30, 1)] == [0.2, 0.4]


def test_a_child_that_dies_is_restarted(tmp_path: Path) -> None:
    """Each death is followed by another process, until the program is stopped."""

    async def work() -> None:
        kept = SupervisedProcess(program(tmp_path, "import os; print(os.getpid())"), lambda: Backoff(0.001, 0.001))
        running = asyncio.create_task(kept.run())
        await until(lambda: len(output(tmp_path)) >= 3)
        await kept.stop(5)
        await running

    run(work)
    assert len(set(output(tmp_path))) == len(output(tmp_path))


def test_stopping_terminates_and_then_kills(tmp_path: Path) -> None:
    """A child that ignores SIGTERM is killed after a timeout, with its own children; none is started after it."""
    code = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]]); " + STUBBORN

    async def work() -> None:
        kept = SupervisedProcess(program(tmp_path, code, STUBBORN))
        running = asyncio.create_task(kept.run())
        await until(lambda: len(output(tmp_path)) == 2)
        assert kept.pid is not None
        family = [psutil.Process(kept.pid), *psutil.Process(kept.pid).children()]
        assert len(family) == 2
        assert await kept.stop(0.1) == -signal.SIGKILL
        await running
        assert await kept.stop(0.1) is None
        await until(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family))

    run(work)


def test_a_terminated_child_may_finish(tmp_path: Path) -> None:
    """SIGTERM lets a child end by itself within its timeout."""
    code = """
import signal, sys

def finish(*_):
    print("bye", flush=True)
    sys.exit()

signal.signal(signal.SIGTERM, finish)
print("up", flush=True)
signal.pause()
"""

    async def work() -> None:
        child = await ChildProcess.start(program(tmp_path, code))
        await until(lambda: output(tmp_path) == ["up"])
        assert await child.stop(10) == 0

    run(work)
    assert output(tmp_path) == ["up", "bye"]


def test_a_missing_program_is_retried(tmp_path: Path) -> None:
    """A command that cannot run is treated like a child that ended; stopping works during the wait."""
    missing = Program(
        name="test",
        command=(str(tmp_path / "missing"),),
        environment=ENVIRONMENT,
        directory=tmp_path,
        output=tmp_path / "output",
    )

    async def work() -> None:
        kept = SupervisedProcess(missing, lambda: Backoff(0.001, 0.001))
        running = asyncio.create_task(kept.run())
        await until(
            lambda: (tmp_path / "output").exists() and (tmp_path / "output").read_text().count("FileNotFound") > 1
        )
        await kept.stop(1)
        await running

    run(work)


def test_children_inherit_given_descriptors(tmp_path: Path) -> None:
    """A passed file descriptor has the same number in the child."""
    read, write = os.pipe()
    code = "import os, sys; os.write(int(sys.argv[1]), b'hello')"

    async def work() -> None:
        given = program(tmp_path, code, str(write))
        child = await ChildProcess.start(
            Program(name="test", command=given.command, environment=ENVIRONMENT, directory=tmp_path, pass_fds=(write,))
        )
        assert await child.wait() == 0

    run(work)
    assert os.read(read, 5) == b"hello"
    os.close(read)
    os.close(write)


def test_a_child_dies_with_its_parent(tmp_path: Path) -> None:
    """kill -9 of the parent ends the child at once, although it ignores SIGTERM."""
    child = killed_with_parent([sys.executable, "-I", "-S", "-c", STUBBORN], signal.SIGKILL)
    # The number after the script's path is that of the process that will be the parent.
    code = f"""
import os, subprocess
command = {child!r}
command[4] = str(os.getpid())
print(subprocess.Popen(command).pid, flush=True)
os.kill(os.getpid(), 19)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        lines = sorted([parent.stdout.readline().strip(), parent.stdout.readline().strip()])
        (pid,) = (int(line) for line in lines if line.isdigit())
        assert "up" in lines
        parent.kill()
        parent.wait()

    def is_gone() -> bool:
        return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE

    eventually(is_gone, 5, "the child is gone")


def test_a_command_without_its_parent_does_not_start(tmp_path: Path) -> None:
    """If the parent died before the child could request the signal, the child ends."""
    command = killed_with_parent([sys.executable, "-c", "print('started')"], signal.SIGKILL)
    command[4] = "1" if os.getpid() != 1 else "2"

    assert subprocess.run(command, capture_output=True, check=True, timeout=10).stdout == b""

"""The supervisor: what should run does, what should not does not, and one failure stops nothing else."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from actors.ledger.reader_port import LedgerReader
from actors.loops.supervisor import Supervisor
from domain.errors import Unavailable


class FakeLauncher:
    """Keeps which loops 'run'; those in `broken` do not start."""

    def __init__(self, *running: str) -> None:
        self.up = set(running)
        self.broken: set[str] = set()
        self.starts: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def running(self) -> list[str]:
        return sorted(self.up)

    async def start(self, loop_id: str) -> None:
        self.starts.append(loop_id)
        await self.gate.wait()
        if loop_id in self.broken:
            raise Unavailable(f"{loop_id} does not start")
        self.up.add(loop_id)

    async def stop(self, loop_id: str) -> None:
        self.up.discard(loop_id)


class FakeReader:
    """Only knows which loops should run."""

    def __init__(self, *wanted: str) -> None:
        self.wanted = list(wanted)

    def running_loops(self) -> list[str]:
        return self.wanted


def supervisor(reader: FakeReader, launcher: FakeLauncher) -> Supervisor:
    return Supervisor(cast(LedgerReader, cast(Any, reader)), launcher)


async def settled(launcher: FakeLauncher, *loops: str) -> None:
    async with asyncio.timeout(5):
        while launcher.running() != sorted(loops):
            await asyncio.sleep(0)


def test_missing_loops_are_started_and_deleted_ones_ended() -> None:
    """One round brings what runs to what should run."""

    async def scenario() -> None:
        launcher = FakeLauncher("fl_old", "fl_kept")
        await supervisor(FakeReader("fl_kept", "fl_new"), launcher).reconcile()
        await settled(launcher, "fl_kept", "fl_new")
        assert launcher.starts == ["fl_new"]

    asyncio.run(scenario())


def test_a_loop_that_does_not_start_holds_back_no_other() -> None:
    """Others start, and the next round tries the failed one again."""

    async def scenario() -> None:
        launcher = FakeLauncher()
        launcher.broken = {"fl_bad"}
        watch = supervisor(FakeReader("fl_bad", "fl_good"), launcher)
        await watch.reconcile()
        await settled(launcher, "fl_good")
        launcher.broken.clear()
        await watch.reconcile()
        await settled(launcher, "fl_bad", "fl_good")

    asyncio.run(scenario())


def test_ensure_waits_for_the_loop_and_starts_it_once() -> None:
    """Any number of callers share one start, and each returns when the loop runs."""

    async def scenario() -> None:
        launcher = FakeLauncher()
        launcher.gate.clear()
        watch = supervisor(FakeReader("fl_a"), launcher)
        callers = [asyncio.create_task(watch.ensure("fl_a")) for _ in range(5)]
        await watch.reconcile()
        assert not any(task.done() for task in callers)
        launcher.gate.set()
        await asyncio.gather(*callers)
        assert launcher.starts == ["fl_a"]

    asyncio.run(scenario())


def test_ensure_says_why_a_loop_does_not_start() -> None:
    """The launcher's error reaches who asked."""

    async def scenario() -> None:
        launcher = FakeLauncher()
        launcher.broken = {"fl_a"}
        with pytest.raises(Unavailable, match="fl_a does not start"):
            await supervisor(FakeReader("fl_a"), launcher).ensure("fl_a")

    asyncio.run(scenario())


def test_stopping_ends_every_loop() -> None:
    """After stop nothing runs, and nothing that was starting comes up."""

    async def scenario() -> None:
        launcher = FakeLauncher("fl_a", "fl_b")
        watch = supervisor(FakeReader("fl_a", "fl_b"), launcher)
        watch.start()
        await watch.stop()
        assert launcher.running() == []

    asyncio.run(scenario())

"""Locations of loops: followers are up to date within a moment, whatever changes they missed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.loops import location_registry
from actors.loops.location_registry import LocationChanges, LocationLog, LocationRegistry
from domain.errors import Unavailable

names = st.sampled_from(["", "loop-host/0", "loop-host/1", "feedback-loop/fl_1"])
notes = st.lists(st.tuples(st.sampled_from([f"fl_{n}" for n in range(6)]), names), max_size=30)


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not check():
            await asyncio.sleep(0)


@given(st.lists(notes, max_size=5), st.integers(1, 40))
def test_a_follower_catches_up_with_the_log(batches: list[list[tuple[str, str]]], kept: int) -> None:
    """It does so whatever the batches of changes are, and however many changes the log has dropped."""

    async def scenario() -> None:
        log = LocationLog("incarnation")
        log._changes = type(log._changes)(maxlen=kept)
        log.publish()
        log.record(["fl_first"], "loop-host/0")
        follower = LocationRegistry(log.since, lambda _: None)
        follower.start()
        for batch in batches:
            for loop_id, name in batch:
                log.record([loop_id], name)
            await asyncio.sleep(0)
        await until(lambda: (follower._incarnation, follower._version) == ("incarnation", log._version))
        await follower.stop()

        assert follower._locations == log._locations

    asyncio.run(scenario())


def test_a_new_supervisor_sends_everything() -> None:
    """A follower drops all locations that it got from a supervisor that died."""

    async def scenario() -> None:
        first, second = LocationLog("first"), LocationLog("second")
        for log, name in ((first, "loop-host/0"), (second, "loop-host/1")):
            log.publish()
            log.record(["fl_a", "fl_b"], name)
        second.record(["fl_b"], "")
        current = [first]

        async def fetch(incarnation: str, version: int) -> LocationChanges:
            if len(current) == 2:
                current.pop(0)
                raise Unavailable("the supervisor went away")
            return await current[0].since(incarnation, version)

        left: list[str] = []
        follower = LocationRegistry(fetch, left.append)
        follower.start()
        await until(lambda: follower.get("fl_b") == "loop-host/0")
        current.append(second)
        first.record(["fl_c"], "loop-host/0")
        await until(lambda: follower.get("fl_a") == "loop-host/1")
        await follower.stop()

        assert (follower.get("fl_b"), follower.get("fl_c")) == (None, None)
        assert left == ["loop-host/0"]

    asyncio.run(scenario())


def test_followers_get_nothing_until_the_log_is_published(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their requests wait; after a while the answer is that nothing has changed."""
    monkeypatch.setattr(location_registry, "WAIT_S", 0.02)

    async def scenario() -> None:
        log = LocationLog("incarnation")
        log.record(["fl_a"], "loop-host/0")
        assert await log.since("before", 3) == LocationChanges("before", 3, is_complete=False, locations={})
        log.publish()
        assert await log.since("before", 3) == LocationChanges(
            "incarnation", 1, is_complete=True, locations={"loop-host/0": ["fl_a"]}
        )
        assert await log.since("incarnation", 1) == LocationChanges("incarnation", 1, is_complete=False, locations={})

    asyncio.run(scenario())

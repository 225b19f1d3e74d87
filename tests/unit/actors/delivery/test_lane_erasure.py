"""The delivery lane while the ledger erases deliveries that it has read."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from actors.delivery.stale_deliveries import StaleDeliveries
from domain.delivery import OfferedDelivery
from tests.fakes import DELIVERED, failed
from tests.raw_handler import eventually
from tests.unit.actors.delivery.test_lane import a_lane, settled


def erase(directory: Path, deliveries: Sequence[OfferedDelivery]) -> None:
    """Ends deliveries in the ledger, as an erasure does."""
    with closing(sqlite3.connect(directory / "ledger.sqlite")) as ledger, ledger:
        ids = [(delivery.delivery_id,) for delivery in deliveries]
        ledger.executemany("UPDATE deliveries SET state = 3, due_at_ms = 0 WHERE id = ?", ids)


@pytest.mark.parametrize("ordered", [False, True])
def test_erased_deliveries_are_forgotten(tmp_path: Path, ordered: bool) -> None:
    """Neither what is queued, nor a retry of what is in flight, nor an offer that arrives late is sent afterwards."""

    async def main() -> None:
        async with a_lane(tmp_path, ordered=ordered, schedule="0.01,0.01,0.01") as (lane, fixture, _):
            under_way = 1 if ordered else 4
            fixture.http_client.gate.clear()
            fixture.http_client.answer = lambda _: failed()
            offers = await fixture.owe(10)
            lane.offer(offers)
            await eventually(lambda: fixture.http_client.under_way == under_way)
            erase(tmp_path, offers[:8])
            forgetting = asyncio.create_task(lane.forget_queued())
            await eventually(lambda: lane.buffered <= under_way + 2)
            assert not forgetting.done()
            fixture.http_client.gate.set()
            await forgetting
            fixture.http_client.answer = lambda _: DELIVERED
            lane.offer(offers[:8])
            await settled(fixture, lane)

            sent = fixture.http_client.events[under_way:]
            assert sorted(set(sent)) == [f"evt_{offer.event_id.hex()}" for offer in offers[8:]]

    asyncio.run(main())


def test_an_ordered_lane_keeps_its_order(tmp_path: Path) -> None:
    """A delivery of another person that failed meanwhile goes first again, ahead of those that were read since."""

    async def main() -> None:
        async with a_lane(tmp_path, ordered=True, schedule="0.01,0.01,0.01") as (lane, fixture, _):
            fixture.http_client.gate.clear()
            fixture.http_client.answer = lambda _: failed()
            offers = await fixture.owe(6)
            lane.offer(offers)
            await eventually(lambda: fixture.http_client.under_way == 1)
            erase(tmp_path, offers[2:4])
            forgetting = asyncio.create_task(lane.forget_queued())
            await eventually(lambda: 1 < lane.buffered < 5)
            fixture.http_client.gate.set()
            await forgetting
            fixture.http_client.answer = lambda _: DELIVERED
            await settled(fixture, lane)

            ids = [f"evt_{offer.event_id.hex()}" for offer in offers]
            assert [each for each in fixture.http_client.events if each != ids[0]] == [ids[1], *ids[4:]]
            assert fixture.http_client.events[:2] == ids[:1] * 2

    asyncio.run(main())


def test_a_lane_without_deliveries_forgets_at_once(tmp_path: Path) -> None:
    """New deliveries are sent as before."""

    async def main() -> None:
        async with a_lane(tmp_path) as (lane, fixture, _):
            await lane.forget_queued()
            lane.offer(await fixture.owe(3))
            await settled(fixture, lane)

            assert len(fixture.http_client.events) == 3

    asyncio.run(main())


def test_waiting_ends_when_the_lane_stops() -> None:
    """A lane that stops records nothing more, so waiting for it would never end."""

    async def main() -> None:
        stale = StaleDeliveries()
        first, second = asyncio.create_task(stale.gone([1, 2])), asyncio.create_task(stale.gone([2]))
        await asyncio.sleep(0)
        assert stale.discard(2)
        assert not stale.discard(2)
        await second
        assert not first.done()
        stale.clear()
        await first

    asyncio.run(main())

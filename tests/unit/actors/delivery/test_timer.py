"""`actors.delivery.timer`: it rings at the earliest time requested."""

from __future__ import annotations

import asyncio

import uvloop

from actors.delivery.timer import Timer


def test_a_time_that_has_passed_can_be_requested_again() -> None:
    """On uvloop too, which Ray's actors run on: its handle has no time once that has passed."""

    async def main() -> None:
        rung = asyncio.Event()
        timer = Timer(rung.set)
        timer.ring_in(0.0)
        timer.ring_in(0.0)
        async with asyncio.timeout(5):
            await rung.wait()

    uvloop.run(main())


def test_the_earliest_time_counts() -> None:
    """A later request changes nothing, an earlier one replaces the former, and each ring needs a new request."""

    async def main() -> None:
        rings: list[float] = []
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        timer = Timer(lambda: rings.append(loop.time() - began_s))
        timer.ring_in(60.0)
        timer.ring_in(0.02)
        timer.ring_in(0.5)
        await asyncio.sleep(0.1)

        assert len(rings) == 1
        assert 0.01 < rings[0] < 0.5

        timer.ring_in(0.0)
        timer.cancel()
        await asyncio.sleep(0.01)

        assert len(rings) == 1

    asyncio.run(main())

"""The tasks that do a lane's work."""

from __future__ import annotations

import asyncio

import uvloop

from actors.delivery.worker_pool import WorkerPool


def test_a_look_that_is_due_already_can_be_asked_for_again() -> None:
    """On uvloop too, which Ray's actors run on, and whose handle for a time that has passed has no time."""

    async def main() -> None:
        work = ["first", "second"]
        done: list[str] = []

        async def do(piece: str) -> None:
            done.append(piece)

        crew = WorkerPool(
            limit=lambda: 1, openings=lambda: len(work), take=lambda: work.pop(0) if work else None, do=do
        )
        crew.look_in(0.0)
        crew.look_in(0.0)
        async with asyncio.timeout(5):
            while work:
                await asyncio.sleep(0)

        assert done == ["first", "second"]
        await crew.stop()

    uvloop.run(main())

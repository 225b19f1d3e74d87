"""`actors.delivery.worker_pool`: number of workers, busy and idle."""

from __future__ import annotations

import asyncio

from actors.delivery.worker_pool import WorkerPool


class CountedWorkers:
    """Workers that take numbers from a list, and a count of those at work."""

    def __init__(self, size: int) -> None:
        self.todo: list[int] = []
        self.done: list[int] = []
        self.busy = self.most_busy = 0
        self.gate = asyncio.Event()
        self.pool = WorkerPool(self.work, size)

    async def work(self) -> None:
        while not self.pool.has_surplus:
            if not self.todo:
                await self.pool.idle()
                continue
            number = self.todo.pop(0)
            self.busy += 1
            self.most_busy = max(self.most_busy, self.busy)
            await self.gate.wait()
            self.busy -= 1
            self.done.append(number)
        self.pool.leave()

    def add_work(self, count: int) -> None:
        """Adds work, and as many workers as may do it."""
        self.todo += range(count)
        self.pool.wake(count)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def test_no_more_workers_than_the_size() -> None:
    """Idle workers are woken before new ones start, and never more than the pool's size are at work."""

    async def main() -> None:
        shop = CountedWorkers(3)
        shop.add_work(2)
        await settle()

        assert shop.busy == 2

        shop.add_work(5)
        await settle()

        assert shop.busy == 3

        shop.gate.set()
        await settle()

        assert (len(shop.done), shop.most_busy) == (7, 3)

        shop.gate.clear()
        shop.add_work(1)
        await settle()

        assert shop.busy == 1

        await shop.pool.stop(0)

    asyncio.run(main())


def test_a_smaller_size() -> None:
    """Surplus workers finish their work and exit, idle ones at once; a larger size adds workers again."""

    async def main() -> None:
        shop = CountedWorkers(4)
        shop.add_work(4)
        await settle()
        shop.pool.resize(1)
        shop.add_work(4)
        shop.gate.set()
        await settle()
        shop.gate.clear()
        shop.most_busy = 0
        shop.add_work(2)
        await settle()

        assert shop.busy == 1

        shop.pool.resize(2)
        shop.add_work(2)
        await settle()

        assert shop.busy == 2

        await shop.pool.stop(0)

    asyncio.run(main())


def test_stop() -> None:
    """Workers may finish within the given time and begin nothing else; then they are cancelled."""

    async def main() -> None:
        shop = CountedWorkers(2)
        shop.add_work(3)
        await settle()
        stopping = asyncio.create_task(shop.pool.stop(5.0))
        await settle()
        shop.gate.set()
        await asyncio.wait_for(stopping, 1)

        assert (sorted(shop.done), shop.todo) == ([0, 1], [2])

        stuck = CountedWorkers(1)
        stuck.add_work(1)
        await settle()
        await stuck.pool.stop(0.01)

        assert (stuck.done, stuck.busy) == ([], 1)

    asyncio.run(main())

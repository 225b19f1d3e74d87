"""Every actor, as Ray runs it: thin shells that unpack, delegate to a plain core, and pack.

Ray runs the constructor again after any death of the process: it builds the core from the ledger.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable
from typing import Any, Final

import ray

from actors import bootstrap, options, ray_ports
from actors.commands import ClaimKey, KeepAnswer
from actors.gateway.edition import EDITION
from actors.gateway.protocol import read_hits
from actors.metrics import catalogue
from actors.ray_calls import Answer, answering
from actors.ray_ports import Kind

#: Of the processes of loops, above that of all others (`nice(1)`).
LOOP_NICENESS: Final = 5


class Actor:
    """What every actor of ours answers."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._edition = settings.get(EDITION)

    async def edition(self) -> Answer:
        """The text of the `Edition` that it was started with."""
        return Answer(self._edition)


class LedgerActor(Actor):
    """The only writer of the store. Each call and each frame is durable when it is answered."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        bootstrap.begin(settings, catalogue.LEDGER)
        self._core = bootstrap.ledger(settings)
        self._retention = bootstrap.retention(settings, self._core)
        self._retention.start()
        self._door = bootstrap.door(settings, self._answer)

    async def _answer(self, kind: int, body: bytes) -> bytes:
        if kind == Kind.RECORD_EVENTS:
            return ray_ports.pack_recorded(await self._core.record_events(*ray_ports.unpack_events(body)))
        await self._core.record_outcomes(*ray_ports.unpack_outcomes(body))
        return b""

    async def address(self) -> Answer:
        return await answering(self._door.address())

    async def append(self, events: list[ray_ports.StoredTuple]) -> Answer:
        return await answering(self._core.append(ray_ports.stored_events(events)))

    async def start_replay(self, loop_no: int, which: str, since_ms: int, until_ms: int) -> Answer:
        return await answering(self._core.start_replay(loop_no, which, since_ms, until_ms))

    async def advance_replay(self, replay_id: int, limit: int) -> Answer:
        return await answering(self._core.advance_replay(replay_id, limit))

    async def cancel_replay(self, replay_id: int) -> Answer:
        return await answering(self._core.cancel_replay(replay_id))

    async def retry_delivery(self, delivery_id: int) -> Answer:
        return await answering(self._core.retry_delivery(delivery_id))

    async def claim_key(self, command: ClaimKey) -> Answer:
        return await answering(self._core.claim_key(command))

    async def keep_answer(self, command: KeepAnswer) -> Answer:
        return await answering(self._core.keep_answer(command))

    async def metrics(self) -> Answer:
        return Answer(bootstrap.readings(catalogue.LEDGER))

    async def ping(self) -> Answer:
        return await answering(self._core.check())

    async def stop(self) -> Answer:
        await self._retention.stop()
        return await answering(self._core.close())


class SupervisorActor(Actor):
    """Keeps the loops that should run running."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        bootstrap.begin(settings, catalogue.SUPERVISOR)

        def create_loop(loop_id: str) -> Any:
            return FeedbackLoop.options(**options.feedback_loop(loop_id)).remote(settings, loop_id)

        self._core = bootstrap.supervisor(settings, create_loop)
        self._core.start()
        self._look = bootstrap.backlog_look(settings)

    async def ensure(self, loop_id: str) -> Answer:
        return await answering(self._core.ensure(loop_id))

    async def release(self, loop_id: str) -> Answer:
        return await answering(self._core.release(loop_id))

    async def metrics(self) -> Answer:
        await self._look.refresh()
        return Answer(bootstrap.readings(catalogue.SUPERVISOR))

    async def ping(self) -> Answer:
        return Answer(None)

    async def stop(self) -> Answer:
        return await answering(self._core.stop())


class EnricherActor(Actor):
    """Enriches batches of hits, has them recorded, fans out. A batch may be sent again, to any enricher."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        bootstrap.begin(settings, catalogue.ENRICHER)
        self._core = bootstrap.enricher(settings)
        self._door = bootstrap.door(settings, self._answer)

    async def _answer(self, _kind: int, body: bytes) -> bytes:
        await self._core.record_hits(read_hits(body))
        return b""

    async def address(self) -> Answer:
        return await answering(self._door.address())

    async def metrics(self) -> Answer:
        return Answer(bootstrap.readings(catalogue.ENRICHER))

    async def ping(self) -> Answer:
        return Answer(None)


class FeedbackLoopActor(Actor):
    """One feedback loop: its verification state, its subscription set and its delivery lane."""

    def __init__(self, settings: dict[str, Any], loop_id: str) -> None:
        super().__init__(settings)
        bootstrap.begin(settings, catalogue.FEEDBACK_LOOP)
        # A loop that works off a backlog takes all it can get; enrichment and the ledger are everybody's, and go first.
        os.nice(LOOP_NICENESS)
        self._core = bootstrap.feedback_loop(settings, loop_id)
        self._door = bootstrap.door(settings, self._answer)
        # Ray runs constructors of asynchronous actors inside their event loop.
        self._started = asyncio.create_task(self._core.start(), name="start")

    async def _do(self, work: Awaitable[Any]) -> Answer:
        await asyncio.shield(self._started)
        return await answering(work)

    async def _answer(self, kind: int, body: bytes) -> bytes:
        if kind == Kind.OFFER:
            self._core.offer(ray_ports.unpack_offers(body))
        else:
            self._core.nudge()
        return b""

    async def address(self) -> Answer:
        return await self._do(self._door.address())

    async def verify(self) -> Answer:
        return await self._do(self._core.verify())

    async def pause(self) -> Answer:
        return await self._do(self._core.pause())

    async def resume(self) -> Answer:
        return await self._do(self._core.resume())

    async def change(self, changes: dict[str, Any]) -> Answer:
        return await self._do(self._core.change(changes))

    async def rotate_secret(self) -> Answer:
        return await self._do(self._core.rotate_secret())

    async def secret(self) -> Answer:
        return await self._do(self._core.secret())

    async def delete(self) -> Answer:
        return await self._do(self._core.delete())

    async def send_sample(self, trigger: str, data: dict[str, Any]) -> Answer:
        return await self._do(self._core.send_sample(trigger, data))

    async def replay(self, which: str, since_ms: int, until_ms: int) -> Answer:
        return await self._do(self._core.replay(which, since_ms, until_ms))

    async def cancel_replay(self, replay_id: int) -> Answer:
        return await self._do(self._core.cancel_replay(replay_id))

    async def retry_delivery(self, delivery_id: int) -> Answer:
        return await self._do(self._core.retry_delivery(delivery_id))

    async def metrics(self) -> Answer:
        return Answer(bootstrap.readings(catalogue.FEEDBACK_LOOP))

    async def ping(self) -> Answer:
        await asyncio.shield(self._started)
        return Answer(None)

    async def stop(self, drain_s: float) -> Answer:
        return await self._do(self._core.stop(drain_s))


Ledger: Any = ray.remote(LedgerActor)
Supervisor: Any = ray.remote(SupervisorActor)
Enricher: Any = ray.remote(EnricherActor)
FeedbackLoop: Any = ray.remote(FeedbackLoopActor)

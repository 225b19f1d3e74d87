"""Every actor, as Ray runs it: thin shells that unpack, delegate to a plain core, and pack.

Ray runs the constructor again after any death of the process: it builds the core from the ledger.
"""

from __future__ import annotations

import os
from typing import Any, Final

import ray

from actors.commands.intake import read_batch
from actors.commands.service import ClaimKey, KeepAnswer
from actors.ledger.access.port import AccessChange
from actors.loops.loop_host import Order, Standing
from actors.loops.placement import own_loop
from actors.metrics import catalogue
from actors.ray_runtime import bootstrap, options, remote_ports
from actors.ray_runtime.calls import Answer, answering
from actors.ray_runtime.deployment import EDITION, Edition
from actors.ray_runtime.remote_ports import Kind

#: Of the processes of loops, above that of all others (`nice(1)`).
LOOP_NICENESS: Final = 5


class Actor:
    """What every actor of ours answers."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self._edition: str = settings[EDITION]

    async def edition(self) -> Answer:
        """The text of the `Edition` that it was started with, in the version that it runs."""
        return Answer(Edition.running(self._edition))


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
            return remote_ports.pack_recorded(await self._core.record_events(*remote_ports.unpack_events(body)))
        await self._core.record_outcomes(*remote_ports.unpack_outcomes(body))
        return b""

    async def address(self) -> Answer:
        return await answering(self._door.address())

    async def append(self, events: list[remote_ports.StoredTuple]) -> Answer:
        return await answering(self._core.append(remote_ports.stored_events(events)))

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

    async def change_access(self, change: AccessChange) -> Answer:
        return await answering(self._core.change_access(change))

    async def metrics(self) -> Answer:
        return Answer(bootstrap.metrics_snapshot(catalogue.LEDGER))

    async def ping(self) -> Answer:
        return await answering(self._core.check())

    async def stop(self) -> Answer:
        await self._retention.stop()
        return await answering(self._core.close())


class SupervisorActor(Actor):
    """Decides where loops live, and tells it."""

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        bootstrap.begin(settings, catalogue.SUPERVISOR)

        def create(name: str, node: str) -> Any:
            kind = LoopHost if own_loop(name) is None else FeedbackLoop
            return kind.options(**options.place(name, node)).remote(settings)

        self._core = bootstrap.supervisor(settings, create)
        self._core.start()
        self._backlog = bootstrap.backlog_sampler(settings)
        self._door = bootstrap.door(settings, self._answer)

    async def _answer(self, _kind: int, body: bytes) -> bytes:
        return remote_ports.pack_changes(await self._core.places.since(*remote_ports.unpack_version(body)))

    async def address(self) -> Answer:
        return await answering(self._door.address())

    async def locate(self, loop_id: str) -> Answer:
        return await answering(self._core.locate(loop_id))

    async def replace(self, name: str) -> Answer:
        return await answering(self._core.replace(name))

    async def release(self, loop_id: str) -> Answer:
        return await answering(self._core.release(loop_id))

    async def rest(self) -> Answer:
        return await answering(self._core.rest())

    async def metrics(self) -> Answer:
        await self._backlog.refresh()
        return Answer(bootstrap.metrics_snapshot(catalogue.SUPERVISOR))

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
        await self._core.record(read_batch(body))
        return b""

    async def address(self) -> Answer:
        return await answering(self._door.address())

    async def metrics(self) -> Answer:
        return Answer(bootstrap.metrics_snapshot(catalogue.ENRICHER))

    async def ping(self) -> Answer:
        return Answer(None)


class LoopHostActor(Actor):
    """Feedback loops: their verification state, their subscription sets and their delivery lanes."""

    KIND = catalogue.LOOP_HOST

    def __init__(self, settings: dict[str, Any]) -> None:
        super().__init__(settings)
        bootstrap.begin(settings, self.KIND)
        # A loop that works off a backlog takes all it can get; enrichment and the ledger are everybody's, and go first.
        os.nice(LOOP_NICENESS)
        # Ray runs constructors of asynchronous actors inside their event loop.
        self._core = bootstrap.loop_host(settings, self.KIND)
        self._core.start()
        self._door = bootstrap.door(settings, self._answer)

    async def _answer(self, _kind: int, body: bytes) -> bytes:
        for loop_id, deliveries in remote_ports.unpack_offers(body):
            self._core.offer(loop_id, deliveries)
        return b""

    async def address(self) -> Answer:
        return await answering(self._door.address())

    async def ask(self, loop_id: str, command: str, args: tuple[Any, ...]) -> Answer:
        return await answering(self._core.ask(loop_id, command, *args))

    async def standing(self, order: Order) -> Answer:
        return await answering(self._standing(order))

    async def _standing(self, order: Order) -> Standing:
        await self._core.check_reading()
        return self._core.standing(order)

    async def beat(self, life: str) -> Answer:
        return await answering(self._core.beat(life))

    async def take(self, order: Order, loop_ids: list[str]) -> Answer:
        return await answering(self._core.take(order, loop_ids))

    async def let_go(self, order: Order, loop_ids: list[str], drain_s: float) -> Answer:
        return await answering(self._core.let_go(order, loop_ids, drain_s))

    async def metrics(self) -> Answer:
        return Answer(bootstrap.metrics_snapshot(self.KIND))

    async def stop(self, drain_s: float) -> Answer:
        return await answering(self._core.stop(drain_s))


class FeedbackLoopActor(LoopHostActor):
    """One feedback loop, in a process of its own."""

    KIND = catalogue.FEEDBACK_LOOP


Ledger: Any = ray.remote(LedgerActor)
Supervisor: Any = ray.remote(SupervisorActor)
Enricher: Any = ray.remote(EnricherActor)
LoopHost: Any = ray.remote(LoopHostActor)
FeedbackLoop: Any = ray.remote(FeedbackLoopActor)

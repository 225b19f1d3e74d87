"""Actor classes for Ray: thin shells that unpack, call a plain core, and pack.

Ray runs the constructor again after any death of the process, and the core rebuilds itself from the ledger.
"""

from __future__ import annotations

import os
from typing import Any, Final

import ray

from actors.actor_names import own_loop
from actors.commands.command import Command
from actors.commands.intake import read_batch
from actors.commands.service import ClaimKey, KeepAnswer
from actors.installation.erasure_file import ErasureLine
from actors.ledger.access.port import AccessChange
from actors.ledger.erasure.port import ErasureChange
from actors.loops.host_fleet import DRAIN_S
from actors.loops.orders import HostStatus, Order
from actors.metrics import catalogue
from actors.ray_runtime import options, remote_ports
from actors.ray_runtime.calls import Reply, reply_with
from actors.ray_runtime.deployment import DEPLOYMENT, Deployment
from actors.ray_runtime.erasure_wiring import erasure_task
from actors.ray_runtime.remote_ports import ActorFrame
from actors.ray_runtime.wiring import ProcessContext

#: Niceness of loop hosts, relative to the other processes.
LOOP_NICENESS: Final = 5


class Actor:
    """Methods of every actor."""

    PROCESS: str

    def __init__(self, settings: dict[str, str | None]) -> None:
        self._deployment = str(settings[DEPLOYMENT])
        self._context = ProcessContext.start(settings, self.PROCESS)
        self._listener = self._context.listener(self._handle)

    async def _handle(self, kind: int, body: bytes) -> bytes:
        """Answers a frame."""
        raise NotImplementedError

    async def deployment(self) -> Reply:
        """The encoded `Deployment` that it was started with, with the version that it runs."""
        return Reply(Deployment.running(self._deployment))

    async def address(self) -> Reply:
        return await reply_with(self._listener.address())

    async def metrics(self) -> Reply:
        return Reply(self._context.metrics_snapshot())

    async def ping(self) -> Reply:
        return Reply(None)


class LedgerActor(Actor):
    """The only writer of the store. Each call and each frame is durable when it is answered."""

    PROCESS = catalogue.LEDGER

    def __init__(self, settings: dict[str, str | None]) -> None:
        super().__init__(settings)
        self._core = self._context.ledger()
        self._retention = self._context.retention(self._core)
        self._retention.start()
        self._erasures = erasure_task(self._context, self._core)
        self._erasures.start()

    async def _handle(self, kind: int, body: bytes) -> bytes:
        if kind == ActorFrame.RECORD_EVENTS:
            asked = remote_ports.unpack_events(body)
            return remote_ports.pack(await self._core.record_events(asked.routes_version, asked.events, asked.reports))
        if kind == ActorFrame.RECORD_CHANGE:
            changes, routes_version, events = remote_ports.unpack_change(body)
            stored = remote_ports.stored_events(changes)
            return remote_ports.pack(await self._core.append_and_record(stored, routes_version, events))
        await self._core.record_outcomes(*remote_ports.unpack_outcomes(body))
        return b""

    async def append(self, events: list[remote_ports.StoredTuple]) -> Reply:
        return await reply_with(self._core.append(remote_ports.stored_events(events)))

    async def start_replay(self, loop_no: int, which: str, since_ms: int, until_ms: int) -> Reply:
        return await reply_with(self._core.start_replay(loop_no, which, since_ms, until_ms))

    async def advance_replay(self, replay_id: int, limit: int) -> Reply:
        return await reply_with(self._core.advance_replay(replay_id, limit))

    async def cancel_replay(self, replay_id: int) -> Reply:
        return await reply_with(self._core.cancel_replay(replay_id))

    async def retry_delivery(self, delivery_id: int) -> Reply:
        return await reply_with(self._core.retry_delivery(delivery_id))

    async def claim_key(self, command: ClaimKey) -> Reply:
        return await reply_with(self._core.claim_key(command))

    async def keep_answer(self, command: KeepAnswer) -> Reply:
        return await reply_with(self._core.keep_answer(command))

    async def change_access(self, change: AccessChange) -> Reply:
        return await reply_with(self._core.change_access(change))

    async def change_erasures(self, change: ErasureChange) -> Reply:
        reply = await reply_with(self._core.change_erasures(change))
        self._erasures.nudge()
        return reply

    async def repeat_erasures(self, erasures: list[ErasureLine]) -> Reply:
        reply = await reply_with(self._core.repeat_erasures(erasures))
        self._erasures.nudge()
        return reply

    async def ping(self) -> Reply:
        return await reply_with(self._core.check())

    async def stop(self) -> Reply:
        await self._erasures.stop()
        await self._retention.stop()
        return await reply_with(self._core.close())


class SupervisorActor(Actor):
    """Decides which process holds each loop, and publishes it."""

    PROCESS = catalogue.SUPERVISOR

    def __init__(self, settings: dict[str, str | None]) -> None:
        super().__init__(settings)

        def create(name: str, node: str) -> Any:
            actor_class = REMOTE_LOOP_HOST if own_loop(name) is None else REMOTE_FEEDBACK_LOOP
            return actor_class.options(**options.loop_host(name, node)).remote(settings)

        self._core = self._context.supervisor(create)
        self._core.start()
        self._backlog_sampler = self._context.backlog_sampler()

    async def _handle(self, kind: int, body: bytes) -> bytes:  # noqa: ARG002  only one kind of frame comes here
        return remote_ports.pack(await self._core.locations.since(*remote_ports.unpack_version(body)))

    async def locate(self, loop_id: str) -> Reply:
        return await reply_with(self._core.locate(loop_id))

    async def replace(self, name: str) -> Reply:
        return await reply_with(self._core.replace(name))

    async def remove(self, loop_id: str) -> Reply:
        return await reply_with(self._core.remove(loop_id))

    async def suspend(self) -> Reply:
        return await reply_with(self._core.suspend())

    async def metrics(self) -> Reply:
        await self._backlog_sampler.refresh()
        return Reply(self._context.metrics_snapshot())

    async def stop(self, drain_s: float = DRAIN_S) -> Reply:
        return await reply_with(self._core.stop(drain_s))


class EnricherActor(Actor):
    """Enriches batches of the intake, has them recorded, and fans them out. Any enricher may get a batch again."""

    PROCESS = catalogue.ENRICHER

    def __init__(self, settings: dict[str, str | None]) -> None:
        super().__init__(settings)
        self._core = self._context.enricher()

    async def _handle(self, kind: int, body: bytes) -> bytes:  # noqa: ARG002  only one kind of frame comes here
        await self._core.record(read_batch(body))
        return b""


class LoopHostActor(Actor):
    """Feedback loops: their verification state, their subscription sets and their delivery lanes."""

    PROCESS = catalogue.LOOP_HOST

    def __init__(self, settings: dict[str, str | None]) -> None:
        super().__init__(settings)
        # A loop with a backlog takes all the CPU that it gets, while every loop depends on enrichment and the ledger.
        os.nice(LOOP_NICENESS)
        # Ray runs constructors of asynchronous actors inside their event loop.
        self._core = self._context.loop_host()
        self._core.start()

    async def _handle(self, kind: int, body: bytes) -> bytes:  # noqa: ARG002  only one kind of frame comes here
        for loop_id, deliveries in remote_ports.unpack_offers(body):
            self._core.offer(loop_id, deliveries)
        return b""

    async def call(self, loop_id: str, command: Command[Any]) -> Reply:
        return await reply_with(self._core.call(loop_id, command))

    async def forget_queued(self, loop_ids: list[str]) -> Reply:
        return await reply_with(self._core.forget_queued(loop_ids))

    async def status(self, order: Order) -> Reply:
        return await reply_with(self._status(order))

    async def _status(self, order: Order) -> HostStatus:
        await self._core.check_reading()
        return self._core.status(order)

    async def heartbeat(self, incarnation: str) -> Reply:
        return await reply_with(self._core.heartbeat(incarnation))

    async def assign(self, order: Order, loop_ids: list[str]) -> Reply:
        return await reply_with(self._core.assign(order, loop_ids))

    async def release(self, order: Order, loop_ids: list[str], drain_s: float) -> Reply:
        return await reply_with(self._core.release(order, loop_ids, drain_s))

    async def stop(self, drain_s: float) -> Reply:
        return await reply_with(self._core.stop(drain_s))


class FeedbackLoopActor(LoopHostActor):
    """A single feedback loop, in its own process."""

    PROCESS = catalogue.FEEDBACK_LOOP


REMOTE_LEDGER: Final[Any] = ray.remote(LedgerActor)
REMOTE_SUPERVISOR: Final[Any] = ray.remote(SupervisorActor)
REMOTE_ENRICHER: Final[Any] = ray.remote(EnricherActor)
REMOTE_LOOP_HOST: Final[Any] = ray.remote(LoopHostActor)
REMOTE_FEEDBACK_LOOP: Final[Any] = ray.remote(FeedbackLoopActor)

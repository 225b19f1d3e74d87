"""Ports of the cores, implemented by calls to other actors.

What is sent with every event goes over the connection pool; rarer requests are Ray calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from enum import IntEnum
from typing import Any, NamedTuple, TypeVar, cast
from uuid import UUID

import msgspec
from eventsourcing.persistence import StoredEvent

from actors.actor_names import LEDGER, SUPERVISOR
from actors.commands.service import ClaimKey, KeepAnswer, StoredAnswer
from actors.compatibility import tolerant_decoder, wire_type
from actors.installation.erasure_file import ErasureLine
from actors.ipc.pool import ConnectionPool
from actors.ledger.access.port import AccessChange
from actors.ledger.erasure.port import ErasureChange
from actors.loops.location_registry import LocationChanges, LocationRegistry
from actors.ray_runtime.calls import ActorClient
from domain.delivery import AttemptOutcome, LaneHealth, OfferedDelivery, ReplayProgress
from domain.errors import Overloaded, StoreUnavailable, Unavailable
from domain.tracking import EventToRecord, RecordedEvents, ReportToRecord

T = TypeVar("T")


class ActorFrame(IntEnum):
    """Kinds of frames between actors. An enricher gets `GatewayFrame.INTAKE`."""

    RECORD_EVENTS = 20
    RECORD_OUTCOMES = 21
    RECORD_CHANGE = 22
    OFFER = 30
    LOCATIONS = 40


pack = msgspec.msgpack.Encoder().encode


class EventsBody(NamedTuple):
    """Body of `RECORD_EVENTS`."""

    #: Version of the routing table.
    routes_version: int
    events: Sequence[EventToRecord]
    reports: Sequence[ReportToRecord] = ()


unpack_events = tolerant_decoder(EventsBody)
#: Body of `RECORD_CHANGE`: events of aggregates, the version of the routing table, and the events about them.
unpack_change = tolerant_decoder(tuple[list[tuple[bytes, int, str, bytes]], int, list[EventToRecord]])
unpack_recorded = tolerant_decoder(RecordedEvents)
#: Body of `RECORD_OUTCOMES`: the outcomes, and their loop's number with its handler's health.
unpack_outcomes = tolerant_decoder(tuple[list[AttemptOutcome], tuple[int, LaneHealth] | None])
#: Body of `OFFER`: loops with the deliveries for each. Without deliveries, the loop should read the outbox.
unpack_offers = tolerant_decoder(list[tuple[str, list[OfferedDelivery]]])
#: Body of `LOCATIONS`: incarnation and version of the known locations.
unpack_version = tolerant_decoder(tuple[str, int])
unpack_changes = tolerant_decoder(LocationChanges)

# Registered here because the domain does not know Ray.
wire_type(ReplayProgress)

StoredTuple = tuple[bytes, int, str, bytes]


def stored_tuples(events: Sequence[StoredEvent]) -> list[StoredTuple]:
    """Stored events as plain data."""
    return [(UUID(str(e.originator_id)).bytes, e.originator_version, e.topic, e.state) for e in events]


def stored_events(tuples: Sequence[StoredTuple]) -> list[StoredEvent]:
    """The stored events of `stored_tuples`."""
    return [StoredEvent(UUID(bytes=i), version, topic, state) for i, version, topic, state in tuples]


class RemoteLedger:
    """`LedgerWriter`, `ChangeLedger` and `ReplayLedger` through the ledger's actor.

    Calls raise `StoreUnavailable` while the actor is down.
    """

    def __init__(self, actors: ActorClient, pool: ConnectionPool) -> None:
        self._actors = actors
        self._pool = pool

    async def append(self, events: Sequence[StoredEvent]) -> None:
        await self._call("append", stored_tuples(events))

    async def record_events(
        self, routes_version: int, events: Sequence[EventToRecord], reports: Sequence[ReportToRecord] = ()
    ) -> RecordedEvents:
        body = pack(EventsBody(routes_version, events, reports))
        answer = await _store(self._pool.request(LEDGER, ActorFrame.RECORD_EVENTS, body))
        recorded: RecordedEvents = unpack_recorded(answer)
        return recorded

    async def append_and_record(
        self, changes: Sequence[StoredEvent], routes_version: int, events: Sequence[EventToRecord]
    ) -> RecordedEvents:
        body = pack((stored_tuples(changes), routes_version, events))
        recorded: RecordedEvents = unpack_recorded(
            await _store(self._pool.request(LEDGER, ActorFrame.RECORD_CHANGE, body))
        )
        return recorded

    async def record_outcomes(
        self, outcomes: Sequence[AttemptOutcome], health: tuple[int, LaneHealth] | None = None
    ) -> None:
        await _store(self._pool.request(LEDGER, ActorFrame.RECORD_OUTCOMES, pack((outcomes, health))))

    async def start_replay(self, loop_no: int, which: str, since_ms: int, until_ms: int) -> ReplayProgress:
        return cast(ReplayProgress, await self._call("start_replay", loop_no, which, since_ms, until_ms))

    async def advance_replay(self, replay_id: int, limit: int) -> ReplayProgress:
        return cast(ReplayProgress, await self._call("advance_replay", replay_id, limit))

    async def cancel_replay(self, replay_id: int) -> ReplayProgress:
        return cast(ReplayProgress, await self._call("cancel_replay", replay_id))

    async def retry_delivery(self, delivery_id: int) -> None:
        await self._call("retry_delivery", delivery_id)

    async def claim_key(self, command: ClaimKey) -> StoredAnswer | None:
        return cast(StoredAnswer | None, await self._call("claim_key", command))

    async def keep_answer(self, command: KeepAnswer) -> None:
        await self._call("keep_answer", command)

    async def change_access(self, change: AccessChange) -> int:
        return cast(int, await self._call("change_access", change))

    async def change_erasures(self, change: ErasureChange) -> str:
        return cast(str, await self._call("change_erasures", change))

    async def repeat_erasures(self, erasures: Sequence[ErasureLine]) -> int:
        return cast(int, await self._call("repeat_erasures", list(erasures)))

    async def _call(self, method: str, *args: Any) -> Any:
        return await _store(self._actors.call(LEDGER, method, *args))


async def _store(work: Awaitable[T]) -> T:
    try:
        return await work
    except (Unavailable, Overloaded) as exc:
        raise StoreUnavailable(str(exc)) from exc


class RemoteLoopNotifier:
    """`LoopNotifier` through the processes that hold the loops. Offers of one turn of the event loop go together."""

    def __init__(self, pool: ConnectionPool, locations: LocationRegistry) -> None:
        self._pool = pool
        self._locations = locations
        #: By process: each loop with its deliveries, or without any for a nudge.
        self._waiting: dict[str, list[tuple[str, Sequence[OfferedDelivery]]]] = {}

    def offer(self, loop_id: str, deliveries: Sequence[OfferedDelivery]) -> None:
        name = self._locations.get(loop_id)
        if name is None:  # the process that gets the loop next finds them in the outbox
            return
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._send)
        self._waiting.setdefault(name, []).append((loop_id, deliveries))

    def nudge(self, loop_id: str) -> None:
        self.offer(loop_id, ())

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for name, offers in waiting.items():
            self._pool.send(name, ActorFrame.OFFER, pack(offers))


def follow_locations(pool: ConnectionPool) -> LocationRegistry:
    """A registry that follows the supervisor, and closes connections to processes that no longer hold a loop."""

    async def fetch(incarnation: str, version: int) -> LocationChanges:
        body = await pool.request(SUPERVISOR, ActorFrame.LOCATIONS, pack((incarnation, version)))
        changes: LocationChanges = unpack_changes(body)
        return changes

    return LocationRegistry(fetch, pool.close)

"""The ports of the cores as other actors implement them: the ledger's actor as a `LedgerWriter`, the loops' as `Lanes`.

What comes with every event goes over links, what comes now and then is a Ray call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from enum import IntEnum
from typing import Any, TypeVar
from uuid import UUID

import msgspec
from eventsourcing.persistence import StoredEvent

from actors.commands.service import ClaimKey, KeepAnswer, StoredAnswer
from actors.compatibility import crosses, reader
from actors.ipc.pool import Links
from actors.ledger.access.port import AccessChange
from actors.loops.location_registry import Changes, Places
from actors.ray_runtime import options
from actors.ray_runtime.calls import Actors
from domain.delivery import AttemptOutcome, LaneHealth, OfferedDelivery, ReplayProgress
from domain.errors import Overloaded, StoreUnavailable, Unavailable
from domain.tracking import EventToRecord, RecordedEvents

T = TypeVar("T")


class Kind(IntEnum):
    """What goes over links between actors."""

    RECORD_EVENTS = 20
    RECORD_OUTCOMES = 21
    OFFER = 30
    PLACES = 40


_pack = msgspec.msgpack.Encoder().encode
#: A request to record events: the version of the routing table, and the events.
unpack_events = reader(tuple[int, list[EventToRecord]])
#: A request to record outcomes: the outcomes, and their loop's number with how its handler does.
unpack_outcomes = reader(tuple[list[AttemptOutcome], tuple[int, LaneHealth] | None])
#: Loops with what each is offered; with nothing: the loop is to look into the outbox.
unpack_offers = reader(list[tuple[str, list[OfferedDelivery]]])
#: A question for changes of the loops' places: life and version of what is known.
unpack_version = reader(tuple[str, int])
_unpack_changes = reader(Changes)
_unpack_recorded = reader(RecordedEvents)

# The domain knows nothing of Ray.
crosses(ReplayProgress)

StoredTuple = tuple[bytes, int, str, bytes]


def pack_changes(changes: Changes) -> bytes:
    """The supervisor's answer as bytes."""
    return _pack(changes)


def pack_recorded(recorded: RecordedEvents) -> bytes:
    """The ledger's answer as bytes."""
    return _pack(recorded)


def stored_tuples(events: Sequence[StoredEvent]) -> list[StoredTuple]:
    """Stored events as plain data."""
    return [(UUID(str(e.originator_id)).bytes, e.originator_version, e.topic, e.state) for e in events]


def stored_events(tuples: Sequence[StoredTuple]) -> list[StoredEvent]:
    """The stored events that `stored_tuples` took apart."""
    return [StoredEvent(UUID(bytes=i), version, topic, state) for i, version, topic, state in tuples]


class RemoteLedger:
    """`LedgerWriter` and `ReplayLedger` by way of the ledger's actor. One that is away is `StoreUnavailable`: retry."""

    def __init__(self, actors: Actors, links: Links) -> None:
        self._actors = actors
        self._links = links

    async def append(self, events: Sequence[StoredEvent]) -> None:
        await self._call("append", stored_tuples(events))

    async def record_events(self, routes_version: int, events: Sequence[EventToRecord]) -> RecordedEvents:
        body = _pack((routes_version, events))
        answer = await _store(self._links.ask(options.LEDGER, Kind.RECORD_EVENTS, body))
        recorded: RecordedEvents = _unpack_recorded(answer)
        return recorded

    async def record_outcomes(
        self, outcomes: Sequence[AttemptOutcome], health: tuple[int, LaneHealth] | None = None
    ) -> None:
        await _store(self._links.ask(options.LEDGER, Kind.RECORD_OUTCOMES, _pack((outcomes, health))))

    async def start_replay(self, loop_no: int, which: str, since_ms: int, until_ms: int) -> ReplayProgress:
        progress: ReplayProgress = await self._call("start_replay", loop_no, which, since_ms, until_ms)
        return progress

    async def advance_replay(self, replay_id: int, limit: int) -> ReplayProgress:
        progress: ReplayProgress = await self._call("advance_replay", replay_id, limit)
        return progress

    async def cancel_replay(self, replay_id: int) -> ReplayProgress:
        progress: ReplayProgress = await self._call("cancel_replay", replay_id)
        return progress

    async def retry_delivery(self, delivery_id: int) -> None:
        await self._call("retry_delivery", delivery_id)

    async def claim_key(self, command: ClaimKey) -> StoredAnswer | None:
        answer: StoredAnswer | None = await self._call("claim_key", command)
        return answer

    async def keep_answer(self, command: KeepAnswer) -> None:
        await self._call("keep_answer", command)

    async def change_access(self, change: AccessChange) -> int:
        answer: int = await self._call("change_access", change)
        return answer

    async def _call(self, method: str, *args: Any) -> Any:
        return await _store(self._actors.ask(options.LEDGER, method, *args))


async def _store(work: Awaitable[T]) -> T:
    try:
        return await work
    except (Unavailable, Overloaded) as exc:
        raise StoreUnavailable(str(exc)) from exc


class RemoteLanes:
    """`Lanes` by way of the processes that hold the loops. What is offered at the same time goes there together."""

    def __init__(self, links: Links, places: Places) -> None:
        self._links = links
        self._places = places
        #: By place: each loop with what it is offered, or with nothing when it is nudged.
        self._waiting: dict[str, list[tuple[str, Sequence[OfferedDelivery]]]] = {}

    def offer(self, loop_id: str, deliveries: Sequence[OfferedDelivery]) -> None:
        name = self._places.get(loop_id)
        if name is None:  # its next place finds them in the outbox
            return
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._tell)
        self._waiting.setdefault(name, []).append((loop_id, deliveries))

    def nudge(self, loop_id: str) -> None:
        self.offer(loop_id, ())

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for name, offers in waiting.items():
            self._links.tell(name, Kind.OFFER, _pack(offers))


def followed_places(links: Links) -> Places:
    """The supervisor's word on where loops are; a link to a process that holds none any more is closed."""

    async def fetch(life: str, version: int) -> Changes:
        changes: Changes = _unpack_changes(await links.ask(options.SUPERVISOR, Kind.PLACES, _pack((life, version))))
        return changes

    return Places(fetch, links.forget)

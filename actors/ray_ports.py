"""The ports of the cores, over Ray: the ledger actor as a `LedgerWriter`, the loops' actors as `Lanes`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec
from eventsourcing.persistence import StoredEvent

from actors import options
from actors.commands import ClaimKey, KeepAnswer, StoredAnswer
from actors.ray_calls import Actors
from domain.delivery import AttemptOutcome, OfferedDelivery
from domain.errors import Overloaded, StoreUnavailable, Unavailable
from domain.tracking import EventToRecord, RecordedEvents

_pack = msgspec.msgpack.Encoder().encode
unpack_events = msgspec.msgpack.Decoder(list[EventToRecord]).decode
unpack_outcomes = msgspec.msgpack.Decoder(list[AttemptOutcome]).decode
unpack_offers = msgspec.msgpack.Decoder(list[OfferedDelivery]).decode
_unpack_recorded = msgspec.msgpack.Decoder(RecordedEvents).decode

StoredTuple = tuple[bytes, int, str, bytes]


def pack_recorded(recorded: RecordedEvents) -> bytes:
    """The ledger's answer as bytes."""
    return _pack(recorded)


def stored_tuples(events: Sequence[StoredEvent]) -> list[StoredTuple]:
    """Stored events as plain data."""
    return [(UUID(str(e.originator_id)).bytes, e.originator_version, e.topic, e.state) for e in events]


def stored_events(tuples: Sequence[StoredTuple]) -> list[StoredEvent]:
    """The stored events that `stored_tuples` took apart."""
    return [StoredEvent(UUID(bytes=i), version, topic, state) for i, version, topic, state in tuples]


class RayLedger:
    """`LedgerWriter` by way of the ledger's actor. A ledger that is away is `StoreUnavailable`: retry."""

    def __init__(self, actors: Actors) -> None:
        self._actors = actors

    async def append(self, events: Sequence[StoredEvent]) -> None:
        await self._ask("append", stored_tuples(events))

    async def record_events(self, routes_version: int, events: Sequence[EventToRecord]) -> RecordedEvents:
        return _unpack_recorded(await self._ask("record_events", routes_version, _pack(events)))

    async def record_outcomes(self, outcomes: Sequence[AttemptOutcome]) -> None:
        await self._ask("record_outcomes", _pack(outcomes))

    async def claim_key(self, command: ClaimKey) -> StoredAnswer | None:
        answer: StoredAnswer | None = await self._ask("claim_key", command)
        return answer

    async def keep_answer(self, command: KeepAnswer) -> None:
        await self._ask("keep_answer", command)

    async def ping(self) -> None:
        await self._ask("ping")

    async def _ask(self, method: str, *args: Any) -> Any:
        try:
            return await self._actors.ask(options.LEDGER, method, *args)
        except (Unavailable, Overloaded) as exc:
            raise StoreUnavailable(str(exc)) from exc


class RayLanes:
    """`Lanes` by way of the loops' actors."""

    def __init__(self, actors: Actors) -> None:
        self._actors = actors

    def offer(self, loop_id: str, deliveries: Sequence[OfferedDelivery]) -> None:
        self._actors.tell(options.loop_name(loop_id), "offer", _pack(deliveries))

    def nudge(self, loop_id: str) -> None:
        self._actors.tell(options.loop_name(loop_id), "nudge")

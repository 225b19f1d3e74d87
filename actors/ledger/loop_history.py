"""History of a loop in the event log: the times for which it was disabled, and which events it missed then.

Whether an event was recorded while the loop was disabled follows from the order of the log, because both the event and
the loop's change of state are in it. Times only limit the search: an event may arrive before the loop is disabled
and be recorded afterwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, Self, cast
from uuid import UUID

import msgspec
from eventsourcing.persistence import StoredEvent

from actors.ledger.event_encoding import decode_delivered
from actors.ledger.loop_projection import LoopProjection
from actors.ledger.queries.filters import END_OF_TIME_MS, first_event_id, id_before
from actors.ledger.store_connection import StoreConnection
from domain.event_catalogue.triggers import TRIGGER_NAMES
from domain.feedback_loop import FeedbackLoop
from domain.ledger import event_mapper
from domain.loop_settings import EventFilter
from domain.values import LoopState

#: An event is recorded at most this long after its arrival, and other machines' clocks are at most this far ahead.
LATE_MS: Final = 24 * 3600 * 1000
AHEAD_MS: Final = 10 * 60 * 1000
#: The position in the log that ends an outage which has not ended.
NEVER: Final = 2**63 - 1

LOOP: Final = "SELECT id, account_no, doc FROM loops WHERE no = $1"
HISTORY: Final = (
    "SELECT originator_version, topic, state, {position} FROM stored_events WHERE originator_id = $1"
    " ORDER BY originator_version"
)


class _Facts(msgspec.Struct):
    """The fields of an event that filters look at."""

    tags: list[str] = []
    database: str | None = None
    collection: str | None = None
    erased: int = 0


_facts: Final = msgspec.json.Decoder(_Facts).decode


class Outage(NamedTuple):
    """A time for which a loop was disabled, until events were routed to it again."""

    #: Positions in the log of the loop's events that began and ended it.
    began: int
    ended: int
    began_ms: int
    ended_ms: int


class LoopHistory(NamedTuple):
    """A loop's outages, and its filter now: they decide which events it missed."""

    loop_no: int
    account_no: int
    event_filter: EventFilter
    outages: list[Outage]

    @classmethod
    def read(cls, connection: StoreConnection, loop_no: int) -> Self:
        """Reads it from the log."""
        [(loop_id, account_no, doc)] = connection.rows(LOOP, (loop_no,))
        uuid = UUID(loop_id.removeprefix("fl_"))
        history = [
            (cast(FeedbackLoop.Event, event_mapper().to_domain_event(StoredEvent(uuid, *event))), position)
            for *event, position in connection.rows(HISTORY, (uuid.hex,))
        ]
        return cls(loop_no, account_no, LoopProjection.from_text(doc).settings.event_filter(), outages(history))

    def windows(self, since_ms: int, until_ms: int) -> Iterator[tuple[bytes, bytes]]:
        """Ranges of event ids (both ends excluded) in which missed events of a period may be, in order, disjoint."""
        reached_ms = since_ms
        for outage in self.outages:
            begin_ms = max(outage.began_ms - LATE_MS, reached_ms)
            reached_ms = max(min(outage.ended_ms + AHEAD_MS, until_ms), reached_ms)
            if begin_ms < reached_ms:
                yield id_before(first_event_id(begin_ms)), first_event_id(reached_ms)

    def wants(self, position: int, type_: int, state: bytes) -> bool:
        """Whether an event was missed, passes the filter, and is not about an erased person."""
        if not any(outage.began < position < outage.ended for outage in self.outages):
            return False
        facts = _facts(decode_delivered(state).fields)
        if facts.erased:
            return False
        return self.event_filter.wants(TRIGGER_NAMES[type_], facts.tags, facts.database, facts.collection)


def outages(history: Sequence[tuple[FeedbackLoop.Event, int]]) -> list[Outage]:
    """The outages of a loop with these events, each with its position in the log, oldest first."""
    found: list[Outage] = []
    (registered, _), *changes = history
    loop = LoopProjection.registered(cast(FeedbackLoop.Registered, registered))
    for event, position in changes:
        loop.apply(event)
        is_open = bool(found) and found[-1].ended == NEVER
        if is_open and loop.is_routed:
            found[-1] = found[-1]._replace(ended=position, ended_ms=event.at_ms)
        elif not is_open and loop.state is LoopState.DISABLED:
            found.append(Outage(position, NEVER, event.at_ms, END_OF_TIME_MS))
    return found

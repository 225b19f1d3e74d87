"""Step of an erasure: former data of profiles, and the events with copies of it, as the step `profiles` has planned.

Events about data that is erased as a whole are not delivered any more, except deletions, which loops get without data.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from actors.ledger.dialect import Cursor
from actors.ledger.erasure.history_search import HistorySearch, Progress, Version
from actors.ledger.erasure.profile_families import RedactedHistory
from actors.ledger.erasure.redaction import RedactedEvent, redact_events
from actors.ledger.erasure.step import Found
from actors.ledger.erasure.store_access import replace_states
from actors.ledger.profile_people import RestingPeople, replace_people
from actors.ledger.store_connection import Row, StoreConnection
from domain.erasure import Counts, RunningErasure, StepName

NEXT_HISTORY: Final = (
    "SELECT originator_id, whole_until, whole_until_ms, partly_until, partly_until_ms FROM erasure_histories"
    " WHERE erasure_no = $1 ORDER BY originator_id LIMIT 1"
)
_DROP_HISTORY: Final = "DELETE FROM erasure_histories WHERE erasure_no = $1 AND originator_id = $2"
#: A row that only moves the position.
_NOTHING: Final = ()


class HistoriesStep:
    """Redacts histories, one after the other."""

    name = StepName.HISTORIES

    def find(self, connection: StoreConnection, erasure: RunningErasure, limit: int) -> Found:
        found = connection.row(NEXT_HISTORY, (erasure.no,))
        if found is None:
            return Found([], "")
        history = RedactedHistory(UUID(bytes=connection.dialect.event_id_bytes(found[0])), *found[1:])
        id_, progress = json.loads(erasure.position) if erasure.position else ("", ())
        begin = Progress(*progress) if id_ == history.originator_id.hex else Progress(0)
        rows, after = HistorySearch(connection, history, erasure.person, limit).find(begin)
        return Found(rows or [_NOTHING], json.dumps((history.originator_id.hex, after)))

    def apply(self, cursor: Cursor, erasure: RunningErasure, rows: Sequence[Row]) -> Counts:
        versions = [row for row in rows if isinstance(row, Version)]
        if versions:
            replace_states(cursor, versions)
        events = [row for row in rows if isinstance(row, RedactedEvent)]
        deliveries = redact_events(cursor, erasure.no, events)
        for row in rows:
            if isinstance(row, RestingPeople):
                replace_people(cursor, row)
                cursor.execute(_DROP_HISTORY, (erasure.no, row.originator_id.hex))
        return Counts(events=len(events), deliveries=deliveries)

"""Search of one history for what an erasure redacts, on a read connection.

It goes through the versions, the events about them, the events of other people's messages that name the profile, and at
last reads the addresses that stay.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from actors.ledger.erasure.profile_families import RedactedHistory
from actors.ledger.erasure.redaction import RedactedEvent, erased_event, state_with
from actors.ledger.event_encoding import TrackingEventState, decode_state
from actors.ledger.people import person_of
from actors.ledger.profile_history import without_data
from actors.ledger.profile_people import (
    decode_profile_state,
    history_states,
    people_with_addresses,
    resting_people,
)
from actors.ledger.store_connection import Row, StoreConnection
from domain.erasure import profile_event_key
from domain.event_catalogue.triggers import Trigger
from domain.profile_erasure import event_without_data, event_without_person, without_person

EVENTS: Final = (
    "SELECT e.event_id, s.state FROM events AS e {by events_of_message} {join} {stored e}"
    " WHERE e.message_key = $1 AND e.event_id > $2 ORDER BY e.event_id LIMIT $3"
)
_NAME: Final = "SELECT account_no, database, profile FROM profile_streams WHERE originator_id = $1 AND is_profile = 1"
NAMING_MESSAGES: Final = (
    "SELECT key FROM messages {by messages_of_profile} WHERE account_no = $1 AND database = $2 AND profile = $3"
    " AND key >= $4 AND erased_at_ms IS NULL ORDER BY key LIMIT $5"
)
#: Bytes of states that one transaction writes, roughly.
_MAX_BYTES: Final = 256 * 1024
#: Messages whose events one search reads, and events that it reads at once.
_MESSAGES: Final = 200
_EVENTS: Final = 100
_NEVER_MS: Final = 2**63 - 1


class Version(NamedTuple):
    """A version in the history of a profile, as it stays."""

    originator_id: UUID
    version: int
    state: bytes


class Progress(NamedTuple):
    """The position in a history: a phase, and the last version or event, or a message and its last event."""

    phase: int
    last: str = ""
    message_key: int = 0


class HistorySearch:
    """Finds what to redact in a history."""

    def __init__(self, connection: StoreConnection, history: RedactedHistory, person: str, limit: int) -> None:
        self._connection = connection
        self._history = history
        self._person = person
        self._limit = limit
        self._phases: list[Callable[[Progress], tuple[list[Row], Progress | None]]] = [
            self._versions,
            self._events_of_profile,
            self._events_of_messages,
            self._resting_people,
        ]

    def find(self, progress: Progress) -> tuple[list[Row], Progress]:
        """Rows after a position, and the position after them. There may be no rows before the last phase has some."""
        while True:
            rows, following = self._phases[progress.phase](progress)
            if following is not None:
                return rows, following
            progress = Progress(progress.phase + 1)
            if rows:
                return rows, progress

    # --- phases: each returns rows, and the position after them, or None at its end

    def _versions(self, progress: Progress) -> tuple[list[Row], Progress | None]:
        history = self._history
        rows: list[Row] = []
        size = 0
        for version, _, state in history_states(self._connection, history.originator_id, int(progress.last or 0)):
            if version > history.partly_until:
                break
            redacted = self._redacted_version(state, is_whole=version <= history.whole_until)
            if redacted != state:
                rows.append(Version(history.originator_id, version, redacted))
                size += len(redacted)
            if len(rows) == self._limit or size > _MAX_BYTES:
                return rows, Progress(progress.phase, str(version))
        return rows, None

    def _redacted_version(self, state: bytes, *, is_whole: bool) -> bytes:
        if is_whole:
            return without_data(state)
        data = json.loads(state)
        if self._person not in people_with_addresses(data.get("fields_json", "")):
            return state
        fields = without_person(json.loads(data["fields_json"]), self._person, person_of)
        data["fields_json"] = json.dumps(fields, ensure_ascii=False)
        return json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode()

    def _events_of_profile(self, progress: Progress) -> tuple[list[Row], Progress | None]:
        history = self._history
        rows: list[Row] = []
        for event_id, state in self._events(profile_event_key(history.originator_id), progress.last):
            if state.time_ms <= history.whole_until_ms:
                redacted = self._redacted_event(event_id, state)
            elif state.time_ms <= history.partly_until_ms:
                redacted = self._partly_redacted(event_id, state)
            else:
                redacted = None
            if redacted is not None:
                rows.append(redacted)
            if len(rows) == self._limit:
                return rows, Progress(progress.phase, event_id.hex())
        return rows, None

    def _events_of_messages(self, progress: Progress) -> tuple[list[Row], Progress | None]:
        name = self._connection.row(_NAME, (self._history.originator_id.hex,))
        if name is None:
            return [], None
        keys = [key for (key,) in self._connection.rows(NAMING_MESSAGES, (*name, progress.message_key, _MESSAGES))]
        until_ms = self._replaced_ms()
        redact = self._without_data if self._history.is_whole else self._partly_redacted
        rows: list[Row] = []
        for key in keys:
            for event_id, state in self._events(key, progress.last if key == progress.message_key else ""):
                if state.time_ms <= until_ms and (redacted := redact(event_id, state)) is not None:
                    rows.append(redacted)
                if len(rows) == self._limit:
                    return rows, Progress(progress.phase, event_id.hex(), key)
        if len(keys) < _MESSAGES:
            return rows, None
        return rows, Progress(progress.phase, "", keys[-1] + 1)

    def _resting_people(self, progress: Progress) -> tuple[list[Row], Progress | None]:
        history = self._history
        return [resting_people(self._connection, history.originator_id, history.whole_until)], progress

    # --- events

    def _events(self, key: int, after: str) -> Iterator[tuple[bytes, TrackingEventState]]:
        at = bytes.fromhex(after) if after else bytes(16)
        while found := self._connection.rows(EVENTS, (key, self._connection.dialect.event_id(at), _EVENTS)):
            for event_id, state in found:
                at = bytes(event_id)
                yield at, decode_state(state)

    def _replaced_ms(self) -> int:
        """Unix milliseconds at which the older data was no longer current."""
        later = history_states(self._connection, self._history.originator_id, self._history.partly_until)
        return next((decode_profile_state(state).at_ms for _, _, state in later), _NEVER_MS)

    def _redacted_event(self, event_id: bytes, state: TrackingEventState) -> RedactedEvent | None:
        if state.type == Trigger.DELETE:  # loops get it all the same: they may still have the data
            return self._without_data(event_id, state)
        redacted = erased_event(event_id, state)
        return None if redacted.state == state_with(state, state.fields) else redacted

    def _without_data(self, event_id: bytes, state: TrackingEventState) -> RedactedEvent | None:
        return self._changed(event_id, state, event_without_data(json.loads(state.fields)))

    def _partly_redacted(self, event_id: bytes, state: TrackingEventState) -> RedactedEvent | None:
        if "@" not in state.fields:
            return None
        return self._changed(event_id, state, event_without_person(json.loads(state.fields), self._person, person_of))

    @staticmethod
    def _changed(event_id: bytes, state: TrackingEventState, fields: dict[str, Any]) -> RedactedEvent | None:
        """The event with other fields; None if they are the same. Its deliveries go out with these."""
        if fields == json.loads(state.fields):
            return None
        text = msgspec.json.encode(fields).decode()
        return RedactedEvent(event_id, state_with(state, text), is_erased=False)

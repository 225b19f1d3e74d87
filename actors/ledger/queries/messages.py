"""Queries for registered messages and profiles."""

from __future__ import annotations

from typing import Final

import msgspec

from actors.commands.messages import MessageView, Profile
from actors.ledger.queries.events import event_view
from actors.ledger.store_connection import StoreConnection

#: The most events shown with a message, the latest ones. A scanner may open a message thousands of times.
MAX_HISTORY: Final = 1000

MESSAGE: Final = (
    "SELECT key, account_no, id, recipient, tags, mailing, database, profile, links, created_at_ms FROM messages"
    " WHERE account_no = $1 AND id = $2"
)
HISTORY: Final = (
    "SELECT e.event_id, e.type, s.state FROM"
    " (SELECT event_id, type FROM events {by events_of_message}"
    "   WHERE message_key = $1 AND account_no = $2 ORDER BY event_id DESC LIMIT $3) AS e"
    " {join} {stored e}"
    " ORDER BY e.event_id"
)
PROFILE: Final = (
    "SELECT fields, interests, created_at_ms, modified_at_ms FROM profiles"
    " WHERE account_no = $1 AND database = $2 AND id = $3"
)

_strings: Final = msgspec.json.Decoder(list[str])


class MessageQueries(StoreConnection):
    """The part of `LedgerReader` that reads messages with their events, and profiles."""

    def message(self, account_no: int, message_id: str) -> MessageView | None:
        """A message with its latest events (at most `MAX_HISTORY`), oldest first."""
        with self.snapshot() as cursor:
            found = cursor.execute(MESSAGE, (account_no, message_id)).fetchone()
            if found is None:
                return None
            history = cursor.execute(HISTORY, (found[0], account_no, MAX_HISTORY)).fetchall()
        key, _, id_, recipient, tags, mailing, database, profile, links, created_at_ms = found
        return MessageView(
            key=key,
            account_no=account_no,
            id=id_,
            recipient=recipient,
            tags=_strings.decode(tags),
            mailing=mailing,
            database=database,
            profile=profile,
            links=_strings.decode(links),
            created_at_ms=created_at_ms,
            history=[event_view(*row) for row in history],
        )

    def profile(self, account_no: int, database: str, profile_id: str) -> Profile | None:
        """The current state of a profile."""
        found = self.row(PROFILE, (account_no, database, profile_id))
        if found is None:
            return None
        fields, interests, created_at_ms, modified_at_ms = found
        return Profile(
            database=database,
            id=profile_id,
            fields=msgspec.Raw(fields.encode()),
            interests=_strings.decode(interests),
            created_at_ms=created_at_ms,
            modified_at_ms=modified_at_ms,
        )

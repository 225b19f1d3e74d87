"""What the API shows of accounts, loops, messages and profiles."""

from __future__ import annotations

from typing import Final

import msgspec

from actors.commands.accounts import Account
from actors.commands.events import EventView
from actors.commands.loops import Health, LoopPage
from actors.commands.messages import MessageView, Profile
from actors.ledger.loop_projection import LoopDocument, LoopKey
from actors.ledger.port import LoopRow
from actors.ledger.queries.hot_path import HEALTH_COLUMNS, decode_recorded
from actors.ledger.queries.pagination import Number, decode_cursor, encode_cursor
from actors.ledger.store_connection import Reading, Row
from domain.values import TRIGGER_NAMES, id_text

#: Events of one message that are shown with it: the latest. A scanner may open a message thousands of times.
MAX_HISTORY: Final = 1000

ACCOUNT_BY_KEY: Final = (
    "SELECT a.no, a.id, a.name FROM api_keys AS k JOIN accounts AS a ON a.no = k.account_no WHERE k.hash = $1"
)
_LOOPS: Final = (
    f"SELECT no, id, account_no, doc, {HEALTH_COLUMNS} FROM loops AS l LEFT JOIN loop_health AS h ON h.loop_no = l.no"  # noqa: S608 - no value is in it
)
LOOP: Final = f"{_LOOPS} WHERE id = $1"
LOOP_BY_NO: Final = f"{_LOOPS} WHERE no = $1"
RUNNING_LOOPS: Final = "SELECT id FROM loops WHERE deleted = 0 ORDER BY no"
LOOPS_OF_ACCOUNT: Final = f"{_LOOPS} WHERE deleted = 0 AND account_no = $1 AND no > $2 ORDER BY no LIMIT $3"
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


def event_view(event_id: bytes, type_code: int, state: bytes) -> EventView:
    """A row of `events` with its stored state, as the owner sees it."""
    recorded = decode_recorded(state)
    return EventView(
        id=id_text("evt", event_id),
        type=TRIGGER_NAMES[type_code],
        time_ms=recorded.time_ms,
        fields=msgspec.Raw(recorded.fields.encode()),
    )


class ConfigurationViews(Reading):
    """The part of `LedgerReader` that shows what was set up and registered."""

    def account_by_key(self, key_hash: str) -> Account | None:
        """The account that a key opens, by the key's SHA-256 (hex)."""
        found = self.row(ACCOUNT_BY_KEY, (key_hash,))
        return Account(no=found[0], id=found[1], name=found[2]) if found else None

    def loop(self, loop_id: str) -> LoopRow | None:
        """A loop by its id, deleted ones too (`deleted`)."""
        found = self.row(LOOP, (loop_id,))
        return _loop_row(found) if found else None

    def loop_by_no(self, loop_no: int) -> LoopRow | None:
        """A loop by its number, deleted ones too (`deleted`)."""
        found = self.row(LOOP_BY_NO, (loop_no,))
        return _loop_row(found) if found else None

    def running_loops(self) -> list[str]:
        """Ids of all loops that are not deleted, oldest first."""
        return [loop_id for (loop_id,) in self.rows(RUNNING_LOOPS)]

    def list_loops(self, account_no: int, limit: int, cursor: str | None) -> LoopPage:
        """The account's loops that are not deleted, oldest first.

        Raises:
            InvalidInput: the cursor is not one of this list.
        """
        (after,) = decode_cursor(cursor, tuple[Number]) if cursor is not None else (0,)
        found = [_loop_row(row) for row in self.rows(LOOPS_OF_ACCOUNT, (account_no, after, limit + 1))]
        page = found[:limit]
        return LoopPage(
            data=list(page),
            next=encode_cursor([page[-1].no]) if len(found) > limit else None,
        )

    def message(self, account_no: int, message_id: str) -> MessageView | None:
        """A message with its events, oldest first: all of them, or the latest `MAX_HISTORY`."""
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
        """A profile as it is now."""
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


def _loop_row(row: Row) -> LoopRow:
    no, id_, account_no, doc, *health = row
    shown = Health(**dict(zip(Health.__struct_fields__, health, strict=True))) if health[0] else Health()
    return LoopDocument.from_text(doc).row(LoopKey(no, id_, account_no), shown)

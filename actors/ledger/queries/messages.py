"""Queries for registered messages."""

from __future__ import annotations

from typing import Final

import msgspec

from actors.commands.command import Page
from actors.commands.events import EventView
from actors.commands.messages import MAX_HISTORY, ListMessages, MessageView
from actors.ledger.people import person_named
from actors.ledger.queries.events import event_view
from actors.ledger.queries.pagination import Number, decode_cursor, page_of
from actors.ledger.store_connection import Row, StoreConnection

COLUMNS: Final = (
    "m.key, m.account_no, m.id, m.recipient, m.tags, m.mailing, m.database, m.profile, m.links, m.created_at_ms,"
    " m.reference, m.erased_at_ms"
)
MESSAGE: Final = f"SELECT {COLUMNS} FROM messages AS m WHERE m.account_no = $1 AND m.id = $2"  # noqa: S608 - constants
#: All messages have smaller keys.
_LAST_KEY: Final = 2**63 - 1
ID_OF_REFERENCE: Final = "SELECT id FROM messages WHERE account_no = $1 AND reference = $2"
HISTORY: Final = (
    "SELECT e.event_id, e.type, s.state FROM"
    " (SELECT event_id, type FROM events {by events_of_message}"
    "   WHERE message_key = $1 AND account_no = $2 ORDER BY event_id DESC LIMIT $3) AS e"
    " {join} {stored e}"
    " ORDER BY e.event_id"
)
_LISTED: Final = (
    f"SELECT {COLUMNS} FROM messages AS m {{{{by {{index}}}}}}"  # noqa: S608 - constants only
    " WHERE m.account_no = $1 AND m.key < $2{more} ORDER BY m.key DESC LIMIT $3"
)
_TAGGED: Final = (
    f"SELECT {COLUMNS} FROM message_tags AS t {{{{join}}}} messages AS m ON m.key = t.message_key"  # noqa: S608
    " WHERE t.account_no = $1 AND t.tag = {tag} AND t.message_key < $2 ORDER BY t.message_key DESC LIMIT $3"
)
_HAS_TAG: Final = (
    "EXISTS (SELECT 1 FROM message_tags AS t WHERE t.account_no = $1 AND t.tag = {tag} AND t.message_key = m.key)"
)

_strings: Final = msgspec.json.Decoder(list[str])


class MessageQueries(StoreConnection):
    """The part of `LedgerReader` that reads messages with their events."""

    def message(self, account_no: int, message_id: str) -> MessageView | None:
        """A message with its latest events (at most `MAX_HISTORY`), oldest first."""
        with self.snapshot() as cursor:
            found = cursor.execute(MESSAGE, (account_no, message_id)).fetchone()
            if found is None:
                return None
            history = cursor.execute(HISTORY, (found[0], account_no, MAX_HISTORY)).fetchall()
        return message_view(found, [event_view(*row) for row in history])

    def count_messages(self, since_ms: int, until_ms: int) -> int:
        """How many messages were registered in this time. Reads all messages: only for rare questions."""
        sql = "SELECT count(*) FROM messages WHERE created_at_ms >= $1 AND created_at_ms < $2"
        return int(self.rows(sql, (since_ms, until_ms))[0][0])

    def list_messages(self, query: ListMessages) -> Page[MessageView]:
        """Messages of the account without their events, newest first. Addresses match in any case of ASCII letters.

        Raises:
            InvalidInput: the cursor is invalid.
        """
        found = self.rows(*messages_statement(query))
        return page_of(found, query.limit, lambda row: message_view(row, []), lambda row: [row[0]])

    def message_id_of_reference(self, account_no: int, reference: str) -> str | None:
        """The id of the account's message with this reference."""
        found = self.row(ID_OF_REFERENCE, (account_no, reference))
        return str(found[0]) if found else None


def message_view(row: Row, history: list[EventView]) -> MessageView:
    """The API's view of a message, from its columns."""
    key, account_no, id_, recipient, tags, mailing, database, profile, links, created_at_ms, *rest = row
    reference, erased_at_ms = rest
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
        history=history,
        reference=reference,
        erased_at_ms=erased_at_ms,
    )


def messages_statement(query: ListMessages) -> tuple[str, list[object]]:
    """SQL and parameters for one page of messages plus one row, read from the index that fits the filters best.

    Keys are ordered by time. A recipient has few messages, a mailing more, and a tag the most.
    """
    before = _LAST_KEY if query.cursor is None else decode_cursor(query.cursor, tuple[Number])[0]
    params: list[object] = [query.account.no, before, query.limit + 1]

    def parameter(value: object) -> str:
        params.append(value)
        return f"${len(params)}"

    conditions, index = [], "messages_of_account"
    if query.mailing is not None:
        conditions.append(f"m.mailing = {parameter(query.mailing)}")
        index = "messages_of_mailing"
    if query.recipient is not None:
        conditions.append(f"m.person = {parameter(person_named(query.recipient))}")
        index = "messages_to_recipient"
    if query.tag is not None:
        tag = parameter(query.tag)
        if not conditions:
            return _TAGGED.format(tag=tag), params
        conditions.append(_HAS_TAG.format(tag=tag))
    return _LISTED.format(index=index, more="".join(f" AND {each}" for each in conditions)), params

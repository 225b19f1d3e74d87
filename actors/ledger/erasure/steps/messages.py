"""Step of an erasure: the person's messages. Once it has ended, nothing more is recorded about them.

The version of the routing table grows in the transaction that ends it. So a batch of hits or reports that was enriched
before is refused, enriched again, and finds the messages erased. What was recorded meanwhile, the next step finds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from actors.ledger.dialect import Cursor
from actors.ledger.erasure.step import Found
from actors.ledger.erasure.store_access import replace_states, stored_states
from actors.ledger.projector import ERASE_MESSAGE, FORGET_FIRSTS
from actors.ledger.store_connection import Row, StoreConnection
from domain.erasure import ALL_ACCOUNTS, Counts, RunningErasure, StepName, reference_digest
from domain.ledger import domain_events, stored_events
from domain.message import Message

#: Erased messages have no person, so a search always begins at the start.
FIND: Final = (
    "SELECT m.key, m.account_no, a.id, m.id, m.reference FROM accounts AS a {{join}} messages AS m"
    " {{by messages_to_recipient}} ON m.account_no = a.no"
    " WHERE {account} AND m.person = $2 AND m.created_at_ms <= $3 ORDER BY a.no, m.key LIMIT $4"
)
_APPEND: Final = "INSERT INTO stored_events (originator_id, originator_version, topic, state) VALUES ($1, $2, $3, $4)"
_KEEP_REFERENCE: Final = (
    "INSERT INTO erased_references (account_no, digest, message_key) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING"
)
_KEEP_KEY: Final = "INSERT INTO erasure_keys (erasure_no, message_key) VALUES ($1, $2) ON CONFLICT DO NOTHING"
#: The position of an erasure that has redacted messages; each search begins at the start.
FOUND: Final = "found"
_IS_LEFT: Final = "SELECT key FROM messages WHERE key {in $1} AND erased_at_ms IS NULL"


class FoundMessage(NamedTuple):
    """A message to redact."""

    key: int
    account_no: int
    originator_id: UUID
    #: Its registration without personal data, and the erasure that follows it.
    registered: bytes
    erased: StoredEvent
    reference_digest: bytes | None


class MessagesStep:
    """Redacts the messages of the person that were registered up to the request."""

    def __init__(self, digest_key: Callable[[], bytes], name: StepName = StepName.MESSAGES) -> None:
        self.name = name
        self._digest_key = digest_key

    def find(self, connection: StoreConnection, erasure: RunningErasure, limit: int) -> Found:
        is_all = erasure.account_no == ALL_ACCOUNTS
        sql = FIND.format(account="a.no > $1" if is_all else "a.no = $1")
        found = connection.rows(sql, (erasure.account_no, erasure.person, erasure.requested_at_ms, limit))
        ids = [Message.create_id(UUID(account_id.removeprefix("acc_")), id_) for _, _, account_id, id_, _ in found]
        states = stored_states(connection, ids)
        rows = []
        for (key, account_no, _, _, reference), id_ in zip(found, ids, strict=True):
            registered = redacted_registration(states[id_])
            digest = None if reference is None else reference_digest(self._digest_key(), account_no, reference)
            erased = _erased(id_, registered, erasure.requested_at_ms)
            rows.append(FoundMessage(key, account_no, id_, registered, erased, digest))
        return Found(rows, FOUND)

    def apply(self, cursor: Cursor, erasure: RunningErasure, rows: Sequence[Row]) -> Counts:
        keys = cursor.dialect.many([row[0] for row in rows])
        left = {key for (key,) in cursor.execute(_IS_LEFT, (keys,)).fetchall()}
        messages = [message for row in rows if (message := FoundMessage(*row)).key in left]
        if not messages:
            return Counts()
        replace_states(cursor, [(m.originator_id, 1, m.registered) for m in messages])
        cursor.executemany(
            _APPEND,
            [(m.originator_id.hex, m.erased.originator_version, m.erased.topic, m.erased.state) for m in messages],
        )
        cursor.executemany(ERASE_MESSAGE, [(m.key, erasure.requested_at_ms) for m in messages])
        cursor.executemany(FORGET_FIRSTS, [(m.key,) for m in messages])
        cursor.executemany(_KEEP_KEY, [(erasure.no, m.key) for m in messages])
        references = [(m.account_no, m.reference_digest, m.key) for m in messages if m.reference_digest is not None]
        if references:
            cursor.executemany(_KEEP_REFERENCE, references)
        return Counts(messages=len(messages))


def redacted_registration(state: bytes) -> bytes:
    """The stored state of `Message.Registered` without what may reveal the recipient."""
    fields = json.loads(state)
    fields |= {"recipient": "", "links": [], "reference": None}
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()


def _erased(id_: UUID, registered: bytes, at_ms: int) -> StoredEvent:
    message = Message.from_events(domain_events([StoredEvent(id_, 1, Message.Registered.TOPIC, registered)]))
    if message is None:
        raise ValueError("the log has no registration of a message")
    message.erase(at_ms)
    [erased] = stored_events(message)
    return erased

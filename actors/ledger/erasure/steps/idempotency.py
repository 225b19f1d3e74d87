"""Step of an erasure: kept answers of requests with an Idempotency-Key that show a message of the person.

A repeated request is carried out again. It is refused for the erased message, because its id is the same, and gets the
same answer for other ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from actors.ledger.dialect import Cursor
from actors.ledger.erasure.step import Found
from actors.ledger.idempotency import DROP_MESSAGES
from actors.ledger.store_connection import Row, StoreConnection
from domain.erasure import Counts, RunningErasure, StepName

ANSWERS: Final = (
    "SELECT k.message_key, i.scope, i.key FROM erasure_keys AS k"
    " {join} idempotency_messages AS i {by idempotency_of_message} ON i.message_key = k.message_key"
    " WHERE k.erasure_no = $1 AND k.message_key >= $2 ORDER BY k.message_key LIMIT $3"
)
_DROP: Final = "DELETE FROM idempotency WHERE scope = $1 AND key = $2"


class IdempotencyStep:
    """Drops answers. One that is on its way is not kept, because its message is erased."""

    name = StepName.ANSWERS

    def find(self, connection: StoreConnection, erasure: RunningErasure, limit: int) -> Found:
        # The key again at which the last batch ended: another answer may show the same message.
        rows = connection.rows(ANSWERS, (erasure.no, int(erasure.position or 1), limit))
        return Found(rows, str(rows[-1][0]) if rows else "")

    def apply(self, cursor: Cursor, erasure: RunningErasure, rows: Sequence[Row]) -> Counts:  # noqa: ARG002
        keys = [(scope, key) for _, scope, key in rows]
        cursor.executemany(_DROP, keys)
        cursor.executemany(DROP_MESSAGES, keys)
        return Counts()

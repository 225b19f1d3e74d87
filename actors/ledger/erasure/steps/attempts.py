"""Step of an erasure: attempts that were under way when their event lost the person's address.

Such an event is about someone else, too, so it is still delivered, and a handler may have repeated the older text. The
processes that hold loops have recorded these attempts by now.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from actors.ledger.dialect import Cursor
from actors.ledger.erasure.step import Found
from actors.ledger.store_connection import Row, StoreConnection
from domain.erasure import Counts, RunningErasure, StepName

AWAITED: Final = "SELECT delivery_id FROM erasure_deliveries WHERE erasure_no = $1 ORDER BY delivery_id LIMIT $2"
_REDACT: Final = (
    "UPDATE attempts SET excerpt = '', response_headers = '' WHERE delivery_id = $1"
    " AND (excerpt <> '' OR response_headers <> '')"
)
_DROP: Final = "DELETE FROM erasure_deliveries WHERE erasure_no = $1 AND delivery_id = $2"


class AttemptsStep:
    """Redacts the responses to such attempts."""

    name = StepName.ATTEMPTS

    def find(self, connection: StoreConnection, erasure: RunningErasure, limit: int) -> Found:
        return Found(connection.rows(AWAITED, (erasure.no, limit)), "")

    def apply(self, cursor: Cursor, erasure: RunningErasure, rows: Sequence[Row]) -> Counts:
        cursor.executemany(_REDACT, rows)
        cursor.executemany(_DROP, [(erasure.no, delivery_id) for (delivery_id,) in rows])
        return Counts()

"""SQL dialect of PostgreSQL, and a cursor that translates to it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, Self

from psycopg import RawCursor

from actors.ledger.dialect import Dialect, translator
from actors.ledger.postgres.binary_arrays import Numbers


class PostgresDialect:
    """`Dialect` in which lists are arrays and all ids are uuids. The server accepts a text where it expects a uuid."""

    def word(self, name: str, of: Sequence[str]) -> str:
        a, *b = of
        texts = {
            "often": "",
            "in": f"= ANY({a})",
            "not in": f"<> ALL({a})",
            "join": "JOIN",
            # One look-up per event: OFFSET 0 keeps the planner from turning the join around.
            "stored": f"LATERAL (SELECT state, notification_id FROM stored_events WHERE originator_id = {a}.event_id"  # noqa: S608
            " AND originator_version = 1 OFFSET 0) AS s ON true",
            "by": "",
            "larger": f"greatest({a}, {''.join(b)})",
            # Always true for pending deliveries, and part of these indexes' condition: no other query can use them.
            "pending": "state = 0 AND attempts >= 0",
            # Without this expression the planner would scan the primary key of all loops' deliveries.
            "pending id": "(id + 0)",
            # Each part has its own LIMIT, so no range is read to its end, however wrong the planner's estimate.
            "part": "(",
            "end": f" ORDER BY {', '.join(of)})",
            "position": "notification_id",
        }
        return texts[name]

    def parameter(self, number: str) -> str:
        return f"${number}"

    def many(self, values: Collection[int]) -> Numbers:
        return Numbers(values)

    def event_id(self, id_: bytes) -> str:
        return id_.hex()

    def event_id_bytes(self, originator_id: bytes) -> bytes:
        return originator_id


POSTGRES: Final = PostgresDialect()
postgres_sql: Final = translator(POSTGRES)


class LedgerCursor(RawCursor[tuple[Any, ...]]):
    """A psycopg cursor for statements in the dialect of `actors.ledger.dialect`."""

    dialect: Dialect = POSTGRES

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        """See `psycopg.Cursor.execute`. `prepare=False` allows several statements, without parameters."""
        options.setdefault("binary", options.get("prepare") is not False)
        options.setdefault("prepare", True if query.startswith("{often}") else None)
        return super().execute(postgres_sql(query), params or None, **options)

    def executemany(self, query: Any, params_seq: Any, *, returning: bool = False) -> None:
        super().executemany(postgres_sql(query), params_seq, returning=returning)

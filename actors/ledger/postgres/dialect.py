"""How PostgreSQL writes what stores write differently, and the cursor that writes it so."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final, Self

from psycopg import RawCursor

from actors.ledger.dialect import Dialect, translator
from actors.ledger.postgres.binary_arrays import Numbers


class PostgresDialect:
    """`Dialect`: lists are arrays, all ids uuids. A text where a uuid is wanted is read as one by the server."""

    def word(self, name: str, of: Sequence[str]) -> str:
        """See `Dialect.word`."""
        a, *b = of
        texts = {
            "often": "",
            "in": f"= ANY({a})",
            "not in": f"<> ALL({a})",
            "join": "JOIN",
            # Event by event, for whatever there is of them: OFFSET 0 keeps the planner from turning it round.
            "stored": f"LATERAL (SELECT state FROM stored_events WHERE originator_id = {a}.event_id"  # noqa: S608
            " AND originator_version = 1 OFFSET 0) AS s ON true",
            "by": "",
            "same": f'lower({a}) = lower({"".join(b)} COLLATE "C")',
            "larger": f"greatest({a}, {''.join(b)})",
            # Always so of one that is pending, and a part of those indexes' condition: no other query may choose them.
            "pending": "state = 0 AND attempts >= 0",
            # The planner would rather walk all deliveries of all loops by their key: it cannot by this.
            "pending id": "(id + 0)",
            # Each is cut off for itself: however wrong the planner's guess, no stretch is read to its end.
            "part": "(",
            "end": f" ORDER BY {', '.join(of)})",
            "position": "notification_id",
        }
        return texts[name]

    def parameter(self, number: str) -> str:
        """See `Dialect.parameter`."""
        return f"${number}"

    def many(self, values: Collection[int]) -> Numbers:
        """See `Dialect.many`."""
        return Numbers(values)

    def event_id(self, id_: bytes) -> str:
        """See `Dialect.event_id`."""
        return id_.hex()

    def event_id_bytes(self, originator_id: bytes) -> bytes:
        """See `Dialect.event_id_bytes`."""
        return originator_id


POSTGRES: Final = PostgresDialect()
postgres_sql: Final = translator(POSTGRES)


class LedgerCursor(RawCursor[tuple[Any, ...]]):
    """psycopg's, for statements of the text in `actors.ledger.dialect`."""

    dialect: Dialect = POSTGRES

    def execute(self, query: Any, params: Any = None, **options: Any) -> Self:
        """See `psycopg.Cursor.execute`. With `prepare=False` there may be several statements, without parameters."""
        options.setdefault("binary", options.get("prepare") is not False)
        options.setdefault("prepare", True if query.startswith("{often}") else None)
        return super().execute(postgres_sql(query), params or None, **options)

    def executemany(self, query: Any, params_seq: Any, *, returning: bool = False) -> None:
        """See `psycopg.Cursor.executemany`."""
        super().executemany(postgres_sql(query), params_seq, returning=returning)

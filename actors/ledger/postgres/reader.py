"""Ledger reader on PostgreSQL."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from actors.adapters.clock import SystemClock
from actors.ledger.postgres.binary_arrays import Numbers, Texts
from actors.ledger.postgres.outbox import TAKEN
from actors.ledger.postgres.read_connection import IDLE_S, PostgresReadConnection
from actors.ledger.reader import LedgerReader
from actors.ledger.store_connection import Row
from actors.ports import Clock

PROFILES: Final = (
    "{often}SELECT p.account_no, p.database, p.id, p.fields, p.interests"
    " FROM unnest($1, $2, $3) AS wanted (account_no, database, id) CROSS JOIN LATERAL (SELECT * FROM profiles AS p"
    "  WHERE p.account_no = wanted.account_no AND p.database = wanted.database AND p.id = wanted.id OFFSET 0) AS p"
)
#: By the column's name, because a statement cannot have it as a parameter.
MESSAGE_KEYS: Final = {
    column: f"{{often}}SELECT m.account_no, m.{column}, m.key"  # noqa: S608
    " FROM unnest($1, $2) AS wanted (account_no, name) CROSS JOIN LATERAL (SELECT * FROM messages AS m"
    f"  WHERE m.account_no = wanted.account_no AND m.{column} = wanted.name OFFSET 0) AS m"
    for column in ("id", "reference")
}


class PostgresLedgerReader(PostgresReadConnection, LedgerReader):
    """`LedgerReader` on PostgreSQL. Any process may have one, next to the writer.

    It connects on first use. Any thread may use it; threads take turns on one connection, which is closed after some
    seconds without use. Each call sees everything committed before it. Calls raise `StoreUnavailable` while the store
    cannot be reached or has no schema, and work again once it can; they raise `StoreError` for a store of a newer or an
    unreleased version.
    """

    def __init__(self, url: str, clock: Clock | None = None, idle_s: float = IDLE_S) -> None:
        """`clock` decides which deliveries are due."""
        super().__init__(url, idle_s)
        self.clock = clock or SystemClock()

    def message_key_rows(self, column: str, names: Collection[tuple[int, str]]) -> list[Row]:
        account_nos, texts = zip(*names, strict=True)
        return self.rows(MESSAGE_KEYS[column], (Numbers(account_nos), Texts(texts)))

    def profile_rows(self, keys: Collection[tuple[int, str, str]]) -> list[Row]:
        account_nos, databases, ids = zip(*keys, strict=True)
        return self.rows(PROFILES, (Numbers(account_nos), Texts(databases), Texts(ids)))

    def first_rows(self, keys: Collection[tuple[int, int]]) -> list[Row]:
        message_keys, first_keys = zip(*keys, strict=True)
        return self.rows(TAKEN, (Numbers(message_keys), Numbers(first_keys)))

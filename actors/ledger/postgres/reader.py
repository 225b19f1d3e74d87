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

    def profile_rows(self, keys: Collection[tuple[int, str, str]]) -> list[Row]:
        account_nos, databases, ids = zip(*keys, strict=True)
        return self.rows(PROFILES, (Numbers(account_nos), Texts(databases), Texts(ids)))

    def first_rows(self, keys: Collection[tuple[int, int]]) -> list[Row]:
        message_keys, first_keys = zip(*keys, strict=True)
        return self.rows(TAKEN, (Numbers(message_keys), Numbers(first_keys)))

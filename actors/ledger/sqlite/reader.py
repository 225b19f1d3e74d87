"""Ledger reader on SQLite."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

from actors.adapters.clock import SystemClock
from actors.ledger.reader import LedgerReader
from actors.ledger.sqlite.connection import Check, no_check
from actors.ledger.sqlite.dialect import json_text
from actors.ledger.sqlite.read_connection import SQLiteReadConnection
from actors.ledger.store_connection import Row
from actors.ports import Clock

PROFILES: Final = (
    "SELECT p.account_no, p.database, p.id, p.fields, p.interests FROM json_each(?1) AS wanted CROSS JOIN profiles AS p"
    " ON p.account_no = json_extract(wanted.value, '$[0]')"
    " AND p.database = json_extract(wanted.value, '$[1]') AND p.id = json_extract(wanted.value, '$[2]')"
)
#: By the column's name, because a statement cannot have it as a parameter.
MESSAGE_KEYS: Final = {
    column: f"SELECT m.account_no, m.{column}, m.key FROM json_each(?1) AS wanted CROSS JOIN messages AS m"  # noqa: S608
    f" ON m.account_no = json_extract(wanted.value, '$[0]') AND m.{column} = json_extract(wanted.value, '$[1]')"
    for column in ("id", "reference")
}
TAKEN_FIRSTS: Final = (
    "SELECT f.message_key, f.first_key FROM json_each(?1) AS wanted CROSS JOIN first_hits AS f"
    " ON f.message_key = json_extract(wanted.value, '$[0]') AND f.first_key = json_extract(wanted.value, '$[1]')"
)


class SQLiteLedgerReader(SQLiteReadConnection, LedgerReader):
    """`LedgerReader` on one SQLite file. Any process may have one, next to the writer.

    It opens the file on first use. Any thread may use it; threads take turns. Each call sees all earlier commits. Calls
    raise `StoreUnavailable` while the file is missing or cannot be read, and work again once it can; they raise
    `StoreError` for a file of a newer or an unreleased version.
    """

    def __init__(self, path: Path, clock: Clock | None = None, check: Check = no_check) -> None:
        """`clock` decides which deliveries are due."""
        super().__init__(path, check)
        self.clock = clock or SystemClock()

    def message_key_rows(self, column: str, names: Collection[tuple[int, str]]) -> list[Row]:
        return self.rows(MESSAGE_KEYS[column], (json_text(names),))

    def profile_rows(self, keys: Collection[tuple[int, str, str]]) -> list[Row]:
        return self.rows(PROFILES, (json_text(keys),))

    def first_rows(self, keys: Collection[tuple[int, int]]) -> list[Row]:
        return self.rows(TAKEN_FIRSTS, (json_text(keys),))

"""The ledger's reader on SQLite."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

from actors.adapters.clock import SystemClock
from actors.ledger.reader import StoreReader
from actors.ledger.sqlite.dialect import json_text
from actors.ledger.sqlite.read_connection import SQLiteReadConnection
from actors.ledger.store_connection import Row
from actors.ports import Clock

PROFILES: Final = (
    "SELECT p.account_no, p.database, p.id, p.fields, p.interests FROM json_each(?1) AS wanted CROSS JOIN profiles AS p"
    " ON p.account_no = json_extract(wanted.value, '$[0]')"
    " AND p.database = json_extract(wanted.value, '$[1]') AND p.id = json_extract(wanted.value, '$[2]')"
)
TAKEN_FIRSTS: Final = (
    "SELECT f.message_key, f.first_key FROM json_each(?1) AS wanted CROSS JOIN first_hits AS f"
    " ON f.message_key = json_extract(wanted.value, '$[0]') AND f.first_key = json_extract(wanted.value, '$[1]')"
)


class SQLiteLedgerReader(SQLiteReadConnection, StoreReader):
    """`LedgerReader` on one SQLite file, beside the writer in any process.

    Made with the file's path, it opens it when first asked. Any threads may use it; they take turns. It sees what was
    committed before each call. When the file cannot be read, or is not there yet, calls raise `StoreUnavailable` and
    work again when it can be; a file of a newer program's is a `StoreError`.
    """

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        """`clock`: what is due is due by it."""
        super().__init__(path)
        self.clock = clock or SystemClock()

    def profile_rows(self, keys: Collection[tuple[int, str, str]]) -> list[Row]:
        """See `EnrichmentQueries.profile_rows`."""
        return self.rows(PROFILES, (json_text(keys),))

    def first_rows(self, keys: Collection[tuple[int, int]]) -> list[Row]:
        """See `EnrichmentQueries.first_rows`."""
        return self.rows(TAKEN_FIRSTS, (json_text(keys),))

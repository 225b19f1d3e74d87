"""Key ring in a PostgreSQL ledger."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

from actors.ledger.dialect import Cursor
from actors.ledger.key_ring_store import TABLES, KeyRingStore
from actors.ledger.postgres.connection import open_reader, open_writer
from actors.ledger.postgres.dialect import LedgerCursor
from actors.ledger.postgres.errors import domain_errors
from actors.ledger.postgres.schema import recorded_version, refuse_foreign

#: Writers of the ring take turns, also while its tables do not exist.
_LOCK: Final = 0x6665_6564_6B65_7973


class PostgresKeyRingStore(KeyRingStore):
    """The key ring in the database of a URL."""

    def __init__(self, url: str) -> None:
        self._url = url

    @contextmanager
    def _reading(self) -> Iterator[Cursor | None]:
        with domain_errors(), closing(open_reader(self._url)) as connection:
            cursor = LedgerCursor(connection)
            (table,) = cursor.execute("SELECT to_regclass('front_ends')::text").fetchone() or (None,)
            yield None if table is None else cursor

    @contextmanager
    def _writing(self) -> Iterator[Cursor]:
        with domain_errors(), closing(open_writer(self._url)) as connection:
            cursor = LedgerCursor(connection)
            cursor.execute("BEGIN")
            cursor.execute("SELECT pg_advisory_xact_lock($1)", (_LOCK,))
            if recorded_version(connection) == 0:
                refuse_foreign(connection)
            for table in TABLES:
                cursor.execute(table)
            yield cursor
            cursor.execute("COMMIT")

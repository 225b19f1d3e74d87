"""Compaction of a PostgreSQL ledger."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

import psycopg
from psycopg import Connection
from psycopg.sql import SQL, Identifier

from actors.ledger.compaction import CompactPart
from actors.ledger.postgres.connection import open_maintenance
from actors.ledger.postgres.errors import domain_errors
from actors.ledger.postgres.schema import check_readable

_TABLES: Final = """
    SELECT c.relname, pg_total_relation_size(c.oid) FROM pg_class AS c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind = 'r'
      AND NOT EXISTS (SELECT 1 FROM pg_depend AS d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    ORDER BY 2, 1
"""
_SIZE: Final = "SELECT pg_total_relation_size(quote_ident(%s)::regclass)"
#: The planner's statistics contain samples of columns.
_STATISTICS: Final = "VACUUM (FULL) pg_catalog.pg_statistic"
_CHECKPOINT: Final = (
    "PostgreSQL removes the former files at its next checkpoint (checkpoint_timeout, 5 minutes by default). To do so "
    "now, run CHECKPOINT as a superuser."
)


class PostgresCompaction:
    """`Compaction` of all tables by VACUUM FULL, each in its own time."""

    locks = "that table can be neither read nor written; hits are answered, and wait in the journal"

    def __init__(self, url: str) -> None:
        self._url = url

    def parts(self) -> Sequence[CompactPart]:
        with self._connection() as connection:
            return [CompactPart(*row) for row in connection.execute(_TABLES).fetchall()]

    def missing_bytes(self) -> int:
        return 0

    def rewrite(self, part: CompactPart) -> int:
        with self._connection() as connection:
            # With new statistics: the former ones contain samples of the former rows.
            connection.execute(SQL("VACUUM (FULL, ANALYZE) {}").format(Identifier(part.name)))
            row = connection.execute(_SIZE, (part.name,)).fetchone()
        return int(row[0]) if row else 0

    def finish(self) -> str | None:
        with self._connection() as connection:
            # A user that does not own the database gets a warning, and the rows are overwritten later.
            connection.execute(_STATISTICS)
            try:
                connection.execute("CHECKPOINT")
            except psycopg.errors.InsufficientPrivilege:
                return _CHECKPOINT
        return None

    @contextmanager
    def _connection(self) -> Iterator[Connection[tuple[Any, ...]]]:
        with domain_errors(), closing(open_maintenance(self._url)) as connection:
            check_readable(connection)
            yield connection

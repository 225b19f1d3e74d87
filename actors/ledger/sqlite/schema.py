"""The schema's version, kept in the file's header (`PRAGMA user_version`), and the way from any version to this one."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Final, NamedTuple

from actors.ledger.migrations import check_current, refuse_newer


class Migration(NamedTuple):
    """SQL statements that bring the schema from `version - 1` to `version`."""

    version: int
    statements: Sequence[str]


def load_migrations() -> list[Migration]:
    """The migrations that come with this program, first to last, without a gap."""
    named = [(re.fullmatch(r"(\d{4})_\w+\.sql", f.name), f) for f in files("actors.ledger.sqlite.migrations").iterdir()]
    found = sorted(Migration(int(m[1]), list(split_statements(f.read_text()))) for m, f in named if m)
    if [m.version for m in found] != list(range(1, len(found) + 1)):
        raise RuntimeError(f"migrations are missing: there are {[m.version for m in found]}")
    return found


def split_statements(script: str) -> Iterator[str]:
    """The statements of an SQL script. Each ends at the end of a line."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""
    if statement.strip():
        raise ValueError(f"the script ends within a statement: {statement.strip()[:80]}")


MIGRATIONS: Final = tuple(load_migrations())
SCHEMA_VERSION: Final = MIGRATIONS[-1].version


def schema_version(connection: sqlite3.Connection) -> int:
    """The version of the database, 0 when it is new."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Brings the database to the last version, each step in one transaction. Does nothing when it is there already.

    Raises:
        StoreError: the database was written by a newer program; it is left as it is.
        sqlite3.Error: a step failed; the database is at the version before it.
    """
    newest = migrations[-1].version
    for migration in migrations:
        refuse_newer(schema_version(connection), newest)
        if schema_version(connection) < migration.version:
            _step(connection, migration)


def check_readable(connection: sqlite3.Connection) -> None:
    """Returns when the database has the version that this program reads.

    Raises:
        StoreError: it was written by a newer program.
        StoreUnavailable: the writer has not brought it to this version yet.
    """
    check_current(schema_version(connection), SCHEMA_VERSION)


def _step(connection: sqlite3.Connection, migration: Migration) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if schema_version(connection) < migration.version:  # else another process was quicker
            for statement in migration.statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {migration.version}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise

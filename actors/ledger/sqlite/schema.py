"""Schema version of an SQLite ledger, and its migration to this program's version.

The file's header holds the version (`user_version`) and a mark of our series of versions (`application_id`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from actors.ledger.migrations import Migration, check_current, load_migrations, refuse_newer, series_mark, unreleased

MIGRATIONS: Final = load_migrations("actors.ledger.sqlite.migrations")
SCHEMA_VERSION: Final = MIGRATIONS[-1].version
APPLICATION_ID: Final = series_mark(MIGRATIONS)


def schema_version(connection: sqlite3.Connection) -> int:
    """The schema version of the database; 0 if it is new.

    Raises:
        StoreError: an unreleased version made the database.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    if version and application_id != APPLICATION_ID:
        raise unreleased("Start with a new data directory (--data-dir).")
    return int(version)


def migrate(connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Migrates the database to the newest version, one transaction per version.

    Raises:
        StoreError: a newer program or an unreleased version wrote the database, which is left unchanged.
        sqlite3.Error: a migration failed; the database stays at the version before it.
    """
    newest = migrations[-1].version
    for migration in migrations:
        refuse_newer(schema_version(connection), newest)
        if schema_version(connection) < migration.version:
            _apply(connection, migration)


def check_readable(connection: sqlite3.Connection) -> None:
    """Refuses a database whose schema version is not this program's.

    Raises:
        StoreError: a newer program or an unreleased version wrote the database.
        NotMigrated: the writer has not migrated the database yet.
    """
    check_current(schema_version(connection), SCHEMA_VERSION)


def split_statements(script: str) -> Iterator[str]:
    """The statements of an SQL script. Each statement must end at the end of a line.

    Raises:
        ValueError: the last statement is incomplete.
    """
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""
    if statement.strip():
        raise ValueError(f"the script ends within a statement: {statement.strip()[:80]}")


def _apply(connection: sqlite3.Connection, migration: Migration) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if schema_version(connection) < migration.version:  # otherwise another process has just applied it
            for statement in split_statements(migration.script):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {migration.version}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise

"""The schema's versions and the way between them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.ledger.connection import open_writer
from actors.ledger.reader import SQLiteLedgerReader
from actors.ledger.schema import (
    MIGRATIONS,
    SCHEMA_VERSION,
    Migration,
    check_readable,
    migrate,
    schema_version,
    split_statements,
)
from actors.ledger.writer import SQLiteLedger
from domain.errors import StoreError, StoreUnavailable


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    made = open_writer(path)
    yield made
    made.close()


def schema_of(connection: sqlite3.Connection) -> list[str]:
    return [sql for (sql,) in connection.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")]


def test_versions_have_no_gap() -> None:
    """Migrations are numbered from 1 on, and each does something."""
    assert [m.version for m in MIGRATIONS] == list(range(1, SCHEMA_VERSION + 1))
    assert all(m.statements for m in MIGRATIONS)


def test_migrating_again_changes_nothing(connection: sqlite3.Connection) -> None:
    """A database at the last version is left as it is."""
    migrate(connection)
    before = schema_of(connection)
    migrate(connection)

    assert (before, SCHEMA_VERSION) == (schema_of(connection), schema_version(connection))


def test_from_every_version_to_the_next(connection: sqlite3.Connection) -> None:
    """A database of version 1 with rows comes to a later version step by step, and keeps its rows."""
    migrate(connection, MIGRATIONS[:1])
    connection.execute("INSERT INTO accounts VALUES (1, 'acc_1', 'Acme', 5)")
    later = [
        *MIGRATIONS,
        Migration(SCHEMA_VERSION + 1, ["ALTER TABLE accounts ADD COLUMN note TEXT NOT NULL DEFAULT 'none'"]),
        Migration(SCHEMA_VERSION + 2, ["CREATE TABLE more (x INTEGER) STRICT", "INSERT INTO more VALUES (7)"]),
    ]
    migrate(connection, later)

    assert schema_version(connection) == SCHEMA_VERSION + 2
    assert connection.execute("SELECT name, note FROM accounts").fetchall() == [("Acme", "none")]
    assert connection.execute("SELECT x FROM more").fetchall() == [(7,)]


def test_a_step_that_fails_leaves_the_version_before(connection: sqlite3.Connection) -> None:
    """Each step is one transaction: none of a broken one stays."""
    migrate(connection)
    before = schema_of(connection)
    broken = Migration(SCHEMA_VERSION + 1, ["CREATE TABLE half (x INTEGER)", "INSERT INTO nowhere VALUES (1)"])

    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, [*MIGRATIONS, broken])
    assert (before, SCHEMA_VERSION) == (schema_of(connection), schema_version(connection))
    assert not connection.in_transaction


def test_a_newer_database_is_refused(path: Path, connection: sqlite3.Connection) -> None:
    """Writer and reader refuse what a newer program wrote, say what to do, and leave it as it is."""
    migrate(connection)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    reader = SQLiteLedgerReader(path)
    for start in (lambda: SQLiteLedger(path), reader.running_loops):
        with pytest.raises(StoreError, match="Start the newer program") as refused:
            start()
        assert not isinstance(refused.value, StoreUnavailable)
    reader.close()

    assert schema_version(connection) == SCHEMA_VERSION + 1


def test_an_older_database_is_not_read(connection: sqlite3.Connection) -> None:
    """A reader that is quicker than the writer's migration is told to come again."""
    with pytest.raises(StoreUnavailable):
        check_readable(connection)


def test_a_commit_is_fsynced(connection: sqlite3.Connection) -> None:
    """The writer's connection keeps a write-ahead log that is synced at every commit (I1)."""
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_script_is_split_at_its_statements() -> None:
    """Comments and semicolons within a statement are no ends of it; an unfinished statement is an error."""
    script = "-- one; two\nCREATE TABLE a (\n  x TEXT DEFAULT ';'\n);\n\nDROP TABLE a;\n"

    assert len(list(split_statements(script))) == 2
    with pytest.raises(ValueError, match="within a statement"):
        list(split_statements("CREATE TABLE a (x TEXT)"))

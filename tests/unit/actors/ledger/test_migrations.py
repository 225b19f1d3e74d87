"""The schema migrations of both stores, and how an SQLite ledger is migrated."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from actors.ledger.migrations import Migration, load_migrations
from actors.ledger.sqlite.connection import open_writer
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.schema import (
    APPLICATION_ID,
    MIGRATIONS,
    SCHEMA_VERSION,
    check_readable,
    migrate,
    schema_version,
    split_statements,
)
from actors.ledger.sqlite.writer import SQLiteLedgerWriter
from domain.errors import NotMigrated, StoreError, StoreUnavailable


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


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_migrations_are_numbered_without_gaps(store: str) -> None:
    """The migrations of each store are numbered from 1, and none is empty."""
    migrations = load_migrations(f"actors.ledger.{store}.migrations")

    assert [m.version for m in migrations] == list(range(1, len(migrations) + 1))
    assert all(m.script.strip() for m in migrations)


def test_both_stores_have_the_same_versions() -> None:
    """A change of the schema has a migration in each store, under the same number."""
    sqlite, postgres = (load_migrations(f"actors.ledger.{store}.migrations") for store in ("sqlite", "postgres"))

    assert [m.version for m in sqlite] == [m.version for m in postgres]


def test_a_missing_migration_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that lacks a version is refused; files that are not migrations are ignored."""
    package = tmp_path / "gappy"
    package.mkdir()
    for name in ("__init__.py", "notes.sql", "0001_first.sql", "0003_third.sql"):
        (package / name).write_text("")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    with pytest.raises(RuntimeError, match=r"gappy lacks migrations: its versions are \[1, 3\]"):
        load_migrations("gappy")


@pytest.mark.parametrize(
    ("script", "only_adds"),
    [
        ("-- only adds\nSELECT 1;", True),
        ("SELECT 1;\n-- only adds\n", True),
        ("-- only adds a column\nSELECT 1;", False),
    ],
)
def test_the_additive_mark_is_a_whole_line(script: str, only_adds: bool) -> None:
    """A comment that merely begins with the mark's words does not count."""
    assert Migration(2, script).only_adds == only_adds


def test_migrating_again_changes_nothing(connection: sqlite3.Connection) -> None:
    """A database at the newest version is left unchanged."""
    migrate(connection)
    before = schema_of(connection)
    migrate(connection)

    assert (before, SCHEMA_VERSION) == (schema_of(connection), schema_version(connection))


def test_migrations_are_applied_in_order_and_keep_the_rows(connection: sqlite3.Connection) -> None:
    """A database of this version reaches a later one step by step, and keeps its rows."""
    migrate(connection)
    connection.execute("INSERT INTO accounts VALUES (1, 'acc_1', 'Acme', 5)")
    later = [
        *MIGRATIONS,
        Migration(SCHEMA_VERSION + 1, "ALTER TABLE accounts ADD COLUMN note TEXT NOT NULL DEFAULT 'none';"),
        Migration(SCHEMA_VERSION + 2, "CREATE TABLE more (x INTEGER) STRICT;\nINSERT INTO more VALUES (7);"),
    ]
    migrate(connection, later)

    assert schema_version(connection) == SCHEMA_VERSION + 2
    assert connection.execute("SELECT name, note FROM accounts").fetchall() == [("Acme", "none")]
    assert connection.execute("SELECT x FROM more").fetchall() == [(7,)]


def test_a_failed_migration_leaves_the_version_before(connection: sqlite3.Connection) -> None:
    """Each migration is one transaction: nothing of a failed one remains."""
    migrate(connection)
    before = schema_of(connection)
    broken = Migration(SCHEMA_VERSION + 1, "CREATE TABLE half (x INTEGER);\nINSERT INTO nowhere VALUES (1);")

    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, [*MIGRATIONS, broken])
    assert (before, SCHEMA_VERSION) == (schema_of(connection), schema_version(connection))
    assert not connection.in_transaction


def test_a_newer_database_is_refused(path: Path, connection: sqlite3.Connection) -> None:
    """Writer and reader refuse a database of a newer program with advice, and leave it unchanged."""
    migrate(connection)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")

    assert_refused(path, "Start the newer program")
    assert schema_version(connection) == SCHEMA_VERSION + 1


@pytest.mark.parametrize("version", [1, SCHEMA_VERSION, 5, 99])
@pytest.mark.parametrize("mark", [0, APPLICATION_ID ^ 1], ids=["no mark", "another first script"])
def test_a_database_of_an_unreleased_version_is_refused(
    path: Path, connection: sqlite3.Connection, version: int, mark: int
) -> None:
    """Development versions had other migrations under the same numbers, so their databases are
    refused and not migrated.
    """
    connection.execute("CREATE TABLE accounts (no INTEGER PRIMARY KEY)")
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute(f"PRAGMA application_id = {mark}")
    before = schema_of(connection)

    assert_refused(path, "unreleased version.*Start with a new data directory")
    assert schema_of(connection) == before


def assert_refused(path: Path, match: str) -> None:
    reader = SQLiteLedgerReader(path)
    with pytest.raises(StoreError, match=match) as refused:
        reader.running_loops()
    assert not isinstance(refused.value, StoreUnavailable)
    reader.close()
    with pytest.raises(StoreError, match=match):
        asyncio.run(checked(path))


async def checked(path: Path) -> None:
    ledger = SQLiteLedgerWriter(path)
    try:
        await ledger.check()
    finally:
        await ledger.close()


def test_an_older_database_is_not_read(connection: sqlite3.Connection) -> None:
    """A reader that is faster than the writer's migration gets a retryable error."""
    with pytest.raises(NotMigrated, match=f"at schema version 0 and not migrated to {SCHEMA_VERSION} yet"):
        check_readable(connection)


def test_a_commit_is_fsynced(connection: sqlite3.Connection) -> None:
    """The writer's connection keeps a write-ahead log that is synced at every commit (I1)."""
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_script_is_split_into_its_statements() -> None:
    """Semicolons in comments and texts do not end a statement; an incomplete statement is an error."""
    script = "-- one; two\nCREATE TABLE a (\n  x TEXT DEFAULT ';'\n);\n\nDROP TABLE a;\n"

    assert len(list(split_statements(script))) == 2
    with pytest.raises(ValueError, match="within a statement"):
        list(split_statements("CREATE TABLE a (x TEXT)"))

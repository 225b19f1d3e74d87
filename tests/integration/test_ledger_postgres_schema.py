"""Migration of the PostgreSQL schema."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from actors.ledger.migrations import Migration
from actors.ledger.postgres import schema
from actors.ledger.postgres.connection import open_writer
from actors.ledger.postgres.reader import PostgresLedgerReader
from actors.ledger.postgres.schema import (
    MIGRATIONS,
    SCHEMA_VERSION,
    check_readable,
    migrate,
    schema_version,
)
from actors.ledger.postgres.writer import PostgresLedgerWriter
from domain.errors import NotMigrated, StoreError, StoreUnavailable
from tests.postgres import PostgresServer


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.new_database()


@pytest.fixture
def connection(url: str) -> Iterator[Connection[Any]]:
    with closing(open_writer(url)) as made:
        yield made


def columns_of(connection: Connection[Any]) -> dict[str, set[str]]:
    """Each table's columns."""
    found: dict[str, set[str]] = {}
    rows = connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
    )
    for table, column in rows:
        found.setdefault(table, set()).add(column)
    return found


def test_migrating_again_changes_nothing(connection: Connection[Any]) -> None:
    """A database at the newest version is left unchanged."""
    migrate(connection)
    before = columns_of(connection)
    migrate(connection)

    assert (before, SCHEMA_VERSION) == (columns_of(connection), schema_version(connection))


def test_a_step_that_fails_leaves_the_version_before(connection: Connection[Any]) -> None:
    """Each migration is one transaction: nothing of a failed one remains, and a successful one keeps existing rows."""
    migrate(connection)
    connection.execute("INSERT INTO accounts VALUES (1, 'acc_1', 'Acme', 5)")
    good = Migration(SCHEMA_VERSION + 1, "ALTER TABLE accounts ADD COLUMN note text NOT NULL DEFAULT 'none'")
    broken = Migration(SCHEMA_VERSION + 2, "CREATE TABLE half (x integer); INSERT INTO nowhere VALUES (1)")

    with pytest.raises(psycopg.errors.UndefinedTable):
        migrate(connection, [*MIGRATIONS, good, broken])
    assert schema_version(connection) == SCHEMA_VERSION + 1
    assert "half" not in columns_of(connection)
    assert connection.execute("SELECT name, note FROM accounts").fetchall() == [("Acme", "none")]


def test_concurrent_starts_migrate_once(url: str) -> None:
    """If several programs start together on a new database, one of them migrates it."""
    together = threading.Barrier(6)

    def start(_: int) -> int:
        with closing(open_writer(url)) as one:
            schema_version(one)
            together.wait(30)
            migrate(one)
            return schema_version(one)

    with ThreadPoolExecutor(6) as threads:
        assert set(threads.map(start, range(6))) == {SCHEMA_VERSION}


def test_a_newer_database_is_refused(url: str, connection: Connection[Any]) -> None:
    """Writer and reader refuse a database of a newer program, say what to do, and leave it unchanged."""
    migrate(connection)
    connection.execute("UPDATE ledger_schema SET version = version + 1, min_version = version + 1")
    reader = PostgresLedgerReader(url)
    with pytest.raises(StoreError, match="Start the newer program"):
        reader.running_loops()
    with pytest.raises(StoreError, match="Start the newer program"):
        asyncio.run(checked(url))
    reader.close()

    assert schema_version(connection) == SCHEMA_VERSION + 1


def test_a_reader_reports_each_time_that_the_database_is_of_the_version_before(
    url: str, connection: Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is the same while the reader pauses between attempts, so that it does not look like an outage."""
    migrate(connection)
    monkeypatch.setattr(schema, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    reader = PostgresLedgerReader(url)
    for _ in range(3):
        with pytest.raises(NotMigrated, match="not migrated to"):
            reader.running_loops()
    reader.close()


@pytest.mark.parametrize(
    "columns",
    [
        "version integer NOT NULL",
        "version integer NOT NULL, needs integer NOT NULL",
        "version integer NOT NULL, min_version integer NOT NULL, series integer NOT NULL",
    ],
)
@pytest.mark.parametrize("version", [1, 4, -4])
def test_a_database_of_an_unreleased_version_is_refused(
    url: str, connection: Connection[Any], columns: str, version: int
) -> None:
    """Development versions had other migrations under the same numbers: their databases are refused, not migrated."""
    connection.cursor().execute(f"CREATE TABLE ledger_schema ({columns})", prepare=False)
    values = ", ".join([str(version)] * len(columns.split(",")))
    connection.cursor().execute(f"INSERT INTO ledger_schema VALUES ({values})", prepare=False)
    before = columns_of(connection)
    reader = PostgresLedgerReader(url)
    with pytest.raises(StoreError, match=r"unreleased version.*Name an empty database"):
        reader.running_loops()
    reader.close()
    with pytest.raises(StoreError, match=r"unreleased version.*Name an empty database"):
        asyncio.run(checked(url))

    assert columns_of(connection) == before


async def checked(url: str) -> None:
    ledger = PostgresLedgerWriter(url)
    try:
        await ledger.check()
    finally:
        await ledger.close()


def test_an_older_database_is_not_read(connection: Connection[Any]) -> None:
    """A reader that is faster than the writer's migration gets a retryable error."""
    with pytest.raises(StoreUnavailable):
        check_readable(connection)


def test_a_database_of_another_application_is_refused(url: str, connection: Connection[Any]) -> None:
    """A service creates no tables next to those of another application; the error names them and says what to do."""
    connection.execute("CREATE TABLE customers (id integer)")
    with pytest.raises(StoreError, match=r"customers.*empty") as refused:
        asyncio.run(checked(url))
    assert "--store" in str(refused.value)

    assert set(columns_of(connection)) == {"customers"}


def test_a_separate_schema_is_accepted(url: str, connection: Connection[Any]) -> None:
    """With a search path in the URL, the ledger can share a database with another application."""
    connection.execute("CREATE TABLE customers (id integer)")
    connection.execute("CREATE SCHEMA loops")
    own = f"{url}?options=-csearch_path%3Dloops"
    asyncio.run(checked(own))
    reader = PostgresLedgerReader(own)
    assert reader.running_loops() == []
    reader.close()

    assert set(columns_of(connection)) == {"customers"}


def test_a_newer_database_to_which_was_only_added_is_worked_with(url: str, connection: Connection[Any]) -> None:
    """Programs of two versions share a ledger during a cluster upgrade, unless a migration did more than add."""
    added = Migration(SCHEMA_VERSION + 1, "-- only adds\nALTER TABLE accounts ADD COLUMN note text NOT NULL DEFAULT ''")
    changed = Migration(SCHEMA_VERSION + 2, "ALTER TABLE accounts DROP COLUMN note")
    migrate(connection, [*MIGRATIONS, added])

    assert schema_version(connection) == SCHEMA_VERSION + 1
    check_readable(connection)
    migrate(connection)
    asyncio.run(checked(url))

    migrate(connection, [*MIGRATIONS, added, changed])
    for refused in (check_readable, migrate):
        with pytest.raises(StoreError, match="Start the newer program"):
            refused(connection)


def test_a_new_database_needs_the_newest_that_did_more_than_add(connection: Connection[Any]) -> None:
    """`min_version` is that of the last migration that did more than add, even if several are applied at once."""
    later = [Migration(SCHEMA_VERSION + n, f"-- only adds\nCREATE TABLE t{n} (x integer)") for n in (1, 2)]
    migrate(connection, [*MIGRATIONS, *later])

    assert connection.execute("SELECT version, min_version FROM ledger_schema").fetchall() == [
        (SCHEMA_VERSION + 2, MIGRATIONS[-1].version)
    ]

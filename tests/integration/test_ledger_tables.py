"""Every table of the ledger is classified: what `feedback-loops migrate` and a backup do with it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from psycopg import Connection

from actors.ledger import factory
from actors.ledger.postgres.connection import open_writer as open_postgres
from actors.ledger.postgres.import_tables import TABLES
from actors.ledger.postgres.schema import migrate as migrate_postgres
from actors.ledger.sqlite.connection import open_writer as open_sqlite
from actors.ledger.sqlite.schema import migrate as migrate_sqlite
from actors.processes.backup import back_up
from actors.settings.data_dir import DataDir
from tests.keys import install
from tests.postgres import PostgresServer

#: Tables that `feedback-loops migrate` does not copy, because the new store makes its own.
MADE_ANEW: Final = {
    "ledger_schema": "the schema version of the new store",
    "writer": "the fencing token of the new store",
}
#: Columns that are not stored under this name in SQLite: there it is the row number.
ROW_NUMBER: Final = {"stored_events": {"notification_id"}}
VALUES: Final = {"TEXT": "x", "INTEGER": 7, "BLOB": b"x"}

Columns = dict[str, set[str]]


def sqlite_columns(connection: sqlite3.Connection) -> Columns:
    tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    found = {table: {row[1] for row in connection.execute(f"PRAGMA table_info({table})")} for table in tables}
    return {table: columns | ROW_NUMBER.get(table, set()) for table, columns in found.items()}


def postgres_columns(connection: Connection[Any]) -> Columns:
    found: Columns = {}
    for table, column in connection.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
    ):
        found.setdefault(table, set()).add(column)
    return found


def test_each_table_is_copied_by_migrate_or_recreated(postgres: PostgresServer, tmp_path: Path) -> None:
    """A new table or column fails here until it is on both stores, and in `TABLES` or `MADE_ANEW`."""
    with closing(open_sqlite(tmp_path / "ledger.sqlite")) as sqlite:
        migrate_sqlite(sqlite)
        on_sqlite = sqlite_columns(sqlite)
    with closing(open_postgres(postgres.new_database())) as connection:
        migrate_postgres(connection)
        on_postgres = postgres_columns(connection)
    copied = {table.name: set(table.columns) for table in TABLES}

    assert on_sqlite == copied
    assert {table: columns for table, columns in on_postgres.items() if table not in MADE_ANEW} == copied
    assert on_postgres.keys() == copied.keys() | MADE_ANEW.keys()


def test_a_backup_has_every_row_of_every_table(tmp_path: Path) -> None:
    """A backup is the whole file: a row of each table is in the copy."""
    data_dir = tmp_path / "data"
    with DataDir.open(data_dir) as made:
        made.init()
    install(data_dir)
    path = data_dir / factory.LEDGER_FILE
    with closing(open_sqlite(path)) as ledger:
        migrate_sqlite(ledger)
        for table in sqlite_columns(ledger):
            values = [VALUES[row[2]] for row in ledger.execute(f"PRAGMA table_info({table})")]
            ledger.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)
        rows = all_rows(ledger)
        back_up(data_dir, tmp_path / "backup", "2026-01-01T00:00:00Z")
    with closing(sqlite3.connect(tmp_path / "backup" / factory.LEDGER_FILE)) as copy:
        assert all_rows(copy) == rows
    assert all(rows.values())


def all_rows(connection: sqlite3.Connection) -> dict[str, list[Any]]:
    return {table: connection.execute(f"SELECT * FROM {table}").fetchall() for table in sqlite_columns(connection)}

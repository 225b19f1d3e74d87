"""Classes of the store's columns, compared with the schemas of both stores, and with what an export shows."""

from __future__ import annotations

from collections import defaultdict
from contextlib import closing
from pathlib import Path

import psycopg

from actors.ledger.key_ring_store import TABLES
from actors.ledger.personal_columns import COLUMNS, personal_columns
from actors.ledger.postgres.schema import migrate as migrate_postgres
from actors.ledger.sqlite.connection import open_writer
from actors.ledger.sqlite.schema import migrate
from tests.postgres import PostgresServer

#: Personal columns that an export need not show, with the reason.
NOT_EXPORTED = {
    ("messages", "person"): "the recipient, in another form",
    ("profile_addresses", "person"): "a field of the profile, in another form",
    ("erasures", "person"): "only while an erasure runs, which the export names",
}
#: Personal columns whose values `tests.contract.ledger_recipients_suite` finds in an export.
EXPORTED = {
    *(("stored_events", "state"), ("messages", "recipient"), ("messages", "reference"), ("messages", "links")),
    *(("profiles", "fields"), ("profiles", "interests"), ("subprofiles", "fields"), ("subprofiles", "interests")),
    *(("attempts", "excerpt"), ("attempts", "response_headers")),
}


def names() -> dict[str, set[str]]:
    """The classified columns, by table."""
    return {table: set(columns) for table, columns in COLUMNS.items()}


def test_every_column_of_sqlite_has_one_class(tmp_path: Path) -> None:
    """Each column of texts or bytes is classified, and no other: a new column needs a decision."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    with closing(open_writer(tmp_path / "ledger.sqlite")) as connection:
        migrate(connection)
        for table in TABLES:
            connection.execute(table)
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for column in connection.execute(f"PRAGMA table_info({table})"):
                if column[2] not in {"INTEGER", "BIGINT"}:
                    found[table].add(column[1])
    assert dict(found) == names()


def test_every_column_of_postgresql_has_one_class(url: str) -> None:
    """The same, except that ids are UUIDs there, which need no class."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    with psycopg.connect(url, autocommit=True) as connection:
        for table in TABLES:
            connection.execute(table.encode())
        for table, column in connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
            " AND data_type NOT IN ('bigint', 'integer', 'smallint', 'uuid')"
        ).fetchall():
            found[table].add(column)
    assert {table: columns - names()[table] for table, columns in found.items() if columns - names()[table]} == {}


def test_postgresql_samples_no_personal_column(postgres: PostgresServer) -> None:
    """The planner's statistics of a table that has become empty would keep them."""
    with psycopg.connect(postgres.new_database(), autocommit=True) as connection:
        migrate_postgres(connection)
        rows = connection.execute(
            "SELECT attrelid::regclass::text, attname FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid"
            " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND attstattarget = 0"
        ).fetchall()
    assert set(rows) == personal_columns() | {("idempotency", "key"), ("idempotency_messages", "key")}


def test_an_export_shows_every_personal_column() -> None:
    """Each is found in an export, or there is a reason why not."""
    assert personal_columns() == EXPORTED | NOT_EXPORTED.keys()

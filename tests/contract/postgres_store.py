"""PostgreSQL stores for the contract suites."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent

from actors.ledger.postgres.connection import open_writer
from actors.ledger.postgres.key_ring_store import PostgresKeyRingStore
from actors.ledger.postgres.reader import PostgresLedgerReader
from actors.ledger.postgres.schema import migrate
from actors.ledger.postgres.writer import PostgresLedgerWriter
from tests.contract.ledger_facts import FakeClock, Store, Writer
from tests.contract.sqlite_store import READ_MODELS
from tests.postgres import PostgresServer

#: A migrated database to copy, because copying is faster than migrating.
TEMPLATE = "ledger_template"


def make_template(server: PostgresServer) -> None:
    """Creates the database that stores are copied from."""
    server.run(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0")
    with open_writer(server.url(TEMPLATE)) as connection:
        migrate(connection)


@contextmanager
def postgres_stores(server: PostgresServer) -> Iterator[Store]:
    """A new store on the server; `Store.another` makes more."""
    with ExitStack() as stack:

        def another() -> Store:
            url = server.new_database(TEMPLATE)
            clock = FakeClock()
            writer = PostgresLedgerWriter(url, clock)
            stack.callback(lambda: asyncio.run(writer.close()))
            reader = PostgresLedgerReader(url, clock)
            stack.callback(reader.close)

            def successor() -> Writer:
                taken_over = PostgresLedgerWriter(url, clock)
                stack.callback(lambda: asyncio.run(taken_over.close()))
                return taken_over

            logs = (lambda: read_log(url), lambda: read_models(url))
            return Store(writer, reader, clock, *logs, another, successor, PostgresKeyRingStore(url))

        yield another()


def read_log(url: str) -> list[StoredEvent]:
    """All stored events of the database, in order."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT originator_id, originator_version, topic, state FROM stored_events ORDER BY notification_id"
        ).fetchall()
    return [StoredEvent(UUID(str(row[0])), *row[1:]) for row in rows]


def read_models(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the read models in the database."""
    with psycopg.connect(url) as connection:
        return {table: sorted(connection.execute(f"SELECT * FROM {table}".encode()), key=repr) for table in READ_MODELS}

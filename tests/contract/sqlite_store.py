"""SQLite stores for the contract suites."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from actors.ledger.key_ring_store import SQLiteKeyRingStore
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.writer import SQLiteLedgerWriter
from tests.contract.ledger_facts import FakeClock, Store, Writer

#: The tables that can be rebuilt from the log.
READ_MODELS = (
    *("accounts", "api_keys", "revoked_api_keys", "users", "loops", "messages", "profiles"),
    *("subprofiles", "events", "first_hits"),
    *("message_tags", "profile_streams", "profile_addresses"),
    "meta",
)


@contextmanager
def sqlite_stores(directory: Path) -> Iterator[Store]:
    """A new store in a directory; `Store.another` makes more."""
    numbers = count()
    with ExitStack() as stack:

        def another() -> Store:
            path = directory / f"ledger-{next(numbers)}.sqlite"
            clock = FakeClock()
            writer = SQLiteLedgerWriter(path, clock)
            stack.callback(lambda: asyncio.run(writer.close()))
            reader = SQLiteLedgerReader(path, clock)
            stack.callback(reader.close)

            def successor() -> Writer:
                asyncio.run(writer.close())
                taken_over = SQLiteLedgerWriter(path, clock)
                stack.callback(lambda: asyncio.run(taken_over.close()))
                return taken_over

            logs = (lambda: read_log(path), lambda: read_models(path))
            return Store(writer, reader, clock, *logs, another, successor, SQLiteKeyRingStore(path))

        yield another()


def read_log(path: Path) -> list[StoredEvent]:
    """All stored events of the file, in order."""
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT originator_id, originator_version, topic, state FROM stored_events ORDER BY rowid"
        )
        return [StoredEvent(UUID(row[0]), *row[1:]) for row in rows]


def read_models(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of the read models in the file."""
    with closing(sqlite3.connect(path)) as connection:
        return {table: sorted(connection.execute(f"SELECT * FROM {table}")) for table in READ_MODELS}

"""The schema's versions and the way between them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from actors.commands import accounts as account_commands
from actors.commands.deliveries import ListDeliveries
from actors.commands.loops import Health
from actors.ledger.event_encoding import TrackingEventState
from actors.ledger.sqlite.connection import open_writer
from actors.ledger.sqlite.dialect import LedgerCursor
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.recorder import append
from actors.ledger.sqlite.schema import (
    MIGRATIONS,
    SCHEMA_VERSION,
    Migration,
    check_readable,
    migrate,
    schema_version,
    split_statements,
)
from actors.ledger.sqlite.writer import SQLiteLedgerWriter
from domain.account import Account
from domain.delivery import OfferedDelivery
from domain.errors import StoreError, StoreUnavailable
from domain.tracking import EventToRecord
from domain.values import id_text
from tests.contract.ledger_facts import NOW_MS, FakeClock, Tenant, event, stored


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


def test_a_ledger_of_version_1_goes_on(path: Path) -> None:
    """A file that version 1 wrote keeps all it has: what was listed is, what was due is, and more can come."""
    with closing(open_writer(path)) as connection:
        migrate(connection, MIGRATIONS[:1])
        tenant, made = write_version_1(connection)
    reader = SQLiteLedgerReader(path)
    writer = SQLiteLedgerWriter(path, FakeClock())

    page = reader.list_deliveries(1, ListDeliveries(account=tenant, loop_id=""))
    assert [(d.id, d.state, len(d.attempts)) for d in page.data] == [
        ("dlv_9", "dead", 2),
        ("dlv_8", "delivered", 1),
        ("dlv_7", "pending", 0),
    ]
    assert {a.response_bytes for d in page.data for a in d.attempts} == {0}
    assert reader.due_deliveries(1, NOW_MS, 9, []) == [
        OfferedDelivery(7, made[0].event_id, "open", made[0].fields, 0, NOW_MS)
    ]
    [loop] = reader.list_loops(1, 9, None).data
    assert loop.health == Health()

    async def go_on() -> list[list[int]]:
        new = await writer.record_events(reader.routes_version(), [event(Tenant(UUID(int=1), tenant), loop_nos=[1])])
        replay = await writer.start_replay(1, "all", 0, 2**47)
        assert (await writer.advance_replay(replay.id, 10)).done == 2
        await writer.close()
        return new.delivery_ids

    assert asyncio.run(go_on()) == [[10]]
    assert [d.forgiven for d in reader.due_deliveries(1, NOW_MS, 9, [])] == [0, 1, 2, 0]
    reader.close()


def write_version_1(connection: sqlite3.Connection) -> tuple[account_commands.Account, list[EventToRecord]]:
    """What version 1 wrote: an account with a loop, and three events with their deliveries and attempts."""
    account = Account.open(UUID(int=1), "Acme", NOW_MS)
    tenant = Tenant(UUID(int=1), account_commands.Account(no=1, id=id_text("acc", UUID(int=1)), name="Acme"))
    loop = tenant.loop()
    loop.verify("https://example.com/proof.txt", NOW_MS)
    cursor = connection.cursor(LedgerCursor)
    cursor.execute("BEGIN")
    append(cursor, stored(account, loop))
    made = [event(tenant) for _ in range(3)]
    for delivery_id, attempts, one in zip((7, 8, 9), (0, 1, 2), made, strict=True):
        state = TrackingEventState(1, "open", 0, NOW_MS, one.fields.decode())
        cursor.execute(
            "INSERT INTO stored_events VALUES (?, 1, 'tracking-event.recorded', ?)",
            (one.event_id.hex(), msgspec.json.encode(state)),
        )
        cursor.execute("INSERT INTO events VALUES (1, ?, 1, 0)", (one.event_id,))
        cursor.execute(
            "INSERT INTO deliveries VALUES (?, 1, ?, 1, ?, ?, ?, ?)",
            (delivery_id, one.event_id, attempts, attempts, NOW_MS, NOW_MS),
        )
        for no in range(1, attempts + 1):
            cursor.execute(
                "INSERT INTO attempts VALUES (?, ?, ?, 12, 200, NULL, 'ok', '203.0.113.9')", (delivery_id, no, NOW_MS)
            )
    cursor.execute("COMMIT")
    return tenant.view, made


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
    with pytest.raises(StoreError, match="Start the newer program") as refused:
        reader.running_loops()
    assert not isinstance(refused.value, StoreUnavailable)
    reader.close()
    with pytest.raises(StoreUnavailable, match="Start the newer program"):
        asyncio.run(checked(path))

    assert schema_version(connection) == SCHEMA_VERSION + 1


async def checked(path: Path) -> None:
    ledger = SQLiteLedgerWriter(path)
    try:
        await ledger.check()
    finally:
        await ledger.close()


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

"""Import of an SQLite ledger into PostgreSQL, and `feedback-loops migrate`."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from actors.commands.deliveries import ListDeliveries
from actors.commands.events import ListEvents
from actors.commands.reports import ListReports
from actors.commands.service import ClaimKey, KeepAnswer, StoredAnswer
from actors.ledger import factory
from actors.ledger.access import port as a
from actors.ledger.postgres.import_sqlite import ImportedTable, import_ledger
from actors.ledger.postgres.import_tables import TABLES
from actors.ledger.postgres.reader import PostgresLedgerReader
from actors.ledger.postgres.writer import PostgresLedgerWriter
from actors.ledger.reader import LedgerReader
from actors.ledger.sqlite.connection import open_writer as open_sqlite
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.writer import SQLiteLedgerWriter
from actors.settings import Settings
from actors.settings.data_dir import DataDir
from actors.settings.data_dir_marker import MARKER_FILE
from api.cli.commands import migrate
from domain.delivery import LaneHealth
from domain.errors import Conflict, InvalidInput, StoreError, StoreUnavailable
from domain.profile_change import ProfileKey
from domain.values import id_text
from tests.contract.ledger_facts import NOW_MS, FakeClock, Store, Tenant, event, failed, outcome
from tests.contract.ledger_reports_suite import record, report
from tests.contract.postgres_store import read_log
from tests.contract.sqlite_store import read_log as sqlite_log
from tests.postgres import PostgresServer

EVENTS = 300

#: A row of each table that only erasures write.
ERASURE_ROWS = (
    (
        "INSERT INTO erasures (no, id, account_no, digest, person, requested_at_ms, keep_opt_out, step)"
        " VALUES (1, 'ers_1', 1, x'00ff', 'ann@example.com', 5, 1, 'events')"
    ),
    "INSERT INTO erasure_keys VALUES (1, -7, 0)",
    "INSERT INTO erasure_histories VALUES (1, '00112233445566778899aabbccddeeff', 2, 3, 4, 5)",
    "INSERT INTO erasure_front_ends VALUES (1, 'front')",
    "INSERT INTO front_end_problems VALUES ('front', 'its disk is full')",
    "INSERT INTO erasure_deliveries VALUES (1, 7)",
    "INSERT INTO idempotency_messages VALUES ('acc_1', 'done', 7)",
    "INSERT INTO erased_references VALUES (1, x'01', 9)",
    "INSERT INTO opt_outs VALUES (1, x'02', 3)",
    "INSERT INTO profile_streams VALUES ('00112233445566778899aabbccddeeff', 1, '1', 'p', 1)",
    "INSERT OR IGNORE INTO profile_addresses VALUES (1, 'ann@example.com', '00112233445566778899aabbccddeeff')",
)


class OldLedger:
    """A data directory whose ledger has rows of every kind."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        with DataDir.open(data_dir) as made:
            made.init()
        (data_dir / "master.key").write_text("00" * 32)
        self.path = data_dir / "ledger.sqlite"
        self._write()

    def _write(self) -> None:
        clock = FakeClock()
        writer, reader = SQLiteLedgerWriter(self.path, clock), SQLiteLedgerReader(self.path, clock)
        store = Store(writer, reader, clock, list, dict, Store, SQLiteLedgerWriter)  # type: ignore[arg-type]
        self.tenant = store.account()
        self.loop = store.active_loop(self.tenant, tags=["ü"])
        store.append(self.tenant.message(1, recipient="John@Example.com", database="1", profile="p"))
        store.append(self.tenant.message(2**63 - 1), self.tenant.profile("1", "p", {"name": 'J "ö" \\ \t'}))
        store.append(self.tenant.profile("1", "p", {"n": 1}, ("orders", "7")))
        made = [
            event(self.tenant, 1, loop_nos=[self.loop.no], time_ms=NOW_MS + n, first_key=n or None)
            for n in range(EVENTS)
        ]
        self.ids = [i for ids in store.record(*made).delivery_ids for i in ids]
        store.outcomes(*(outcome(i, state=2, status=500, excerpt="a\tb\nc\\d") for i in self.ids[:50]))
        store.outcomes(*(outcome(i) for i in self.ids[50:100]), health=(self.loop.no, LaneHealth("open", NOW_MS)))
        store.outcomes(*(failed(i, 1, NOW_MS + 50) for i in self.ids[100:120]))
        store.advance(store.replay(self.loop.no).id, 10)
        user = self.tenant.user("ann@example.com")
        store.append(user)
        (api_key,) = reader.api_keys(self.tenant.no, 10)
        for change in (
            a.BeginSession(hash="s", user_id=id_text("usr", user.id)),
            a.CountTries(limits={"address/192.0.2.1": 9}),
            a.UseApiKey(hash=api_key.hash),
        ):
            store.run(writer.change_access(change))
        for key in ("done", "open"):
            store.run(writer.claim_key(ClaimKey(scope="acc_1", key=key, fingerprint="f")))
        answer = StoredAnswer(status=201, content_type="text/plain", body=b"\x00\xff\\x")
        store.run(writer.keep_answer(KeepAnswer(scope="acc_1", key="done", fingerprint="f", answer=answer)))
        reports = [report(self.tenant, bytes([n]) * 32, 2, mime="ü", time_ms=NOW_MS + n) for n in range(3)]
        record(store, *reports, report(self.tenant, bytes(32)))
        gone = store.account()
        keys = {key.account.id: key.hash for key in reader.api_key_list(-1).keys or []}
        store.revoke_key(gone, keys[gone.view.id], NOW_MS)
        self.key_hashes = sorted(keys.values())
        self.mail_id = reports[1].report_id
        store.run(writer.close())
        reader.close()
        with closing(open_sqlite(self.path)) as ledger:
            for statement in ERASURE_ROWS:
                ledger.execute(statement)


@pytest.fixture
def old(tmp_path: Path) -> OldLedger:
    return OldLedger(tmp_path / "data")


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.new_database()


def moved(old: OldLedger, url: str) -> list[ImportedTable]:
    return import_ledger(old.data_dir, url, lambda *_: None)


def answers(reader: LedgerReader, tenant: Tenant, loop_no: int) -> list[object]:
    """The results of the queries that a service makes."""
    deliveries = ListDeliveries(account=tenant.view, loop_id="", limit=1000)
    return [
        reader.routing_table(),
        reader.running_loops(),
        reader.list_loops(tenant.no, 10, None),
        reader.messages([1, 2**63 - 1]),
        reader.message(tenant.no, "m-1"),
        reader.profiles([(tenant.no, "1", "p")]),
        reader.profile(tenant.no, ProfileKey("1", "p", "orders", "7")),
        reader.taken_firsts([(1, n) for n in range(EVENTS)]),
        reader.list_events(ListEvents(account=tenant.view, recipient="john@example.com", limit=1000)),
        reader.list_deliveries(loop_no, deliveries),
        reader.due_deliveries(loop_no, NOW_MS + 100, 1000, []),
        reader.health(loop_no),
        reader.running_replay(loop_no),
        reader.newest_delivery_id(),
        reader.users(None, 10),
        reader.session("s"),
        reader.api_keys(tenant.no, 10),
        reader.attempt_minutes(loop_no, 0),
        reader.event_minutes(tenant.no, 0),
        reader.list_reports(ListReports(account=tenant.view)),
    ]


def test_a_service_continues_on_the_new_store(old: OldLedger, url: str) -> None:
    """The new store answers every query like the old one; ids, the log and replays continue."""
    before = SQLiteLedgerReader(old.path, FakeClock())
    expected = answers(before, old.tenant, old.loop.no)
    before.close()
    compared = moved(old, url)
    reader, writer = PostgresLedgerReader(url, FakeClock()), PostgresLedgerWriter(url, FakeClock())

    assert expected == answers(reader, old.tenant, old.loop.no)
    assert reader.kept_mail(old.mail_id) == "ü"
    assert {t.name: t.rows for t in compared}["deliveries"] == EVENTS
    assert len({t.checksum for t in compared}) == len(TABLES)

    async def go_on() -> None:
        made = event(old.tenant, 1, loop_nos=[old.loop.no])
        recorded = await writer.record_events(reader.routing_table().version, [made])
        assert recorded.delivery_ids == [[old.ids[-1] + 1]]
        running = reader.running_replay(old.loop.no)
        assert running is not None
        assert (await writer.advance_replay(running.id, 1000)).done == 50
        claim = ClaimKey(scope="acc_1", key="done", fingerprint="f")
        kept = await writer.claim_key(claim)
        assert kept is not None
        assert kept.body == b"\x00\xff\\x"
        await writer.close()

    asyncio.run(go_on())
    assert read_log(url)[:-1] == sqlite_log(old.data_dir / "ledger.moved.sqlite")
    reader.close()


def test_a_directory_remembers_that_its_ledger_is_elsewhere(tmp_path: Path) -> None:
    """A start without the store is refused: it would create an empty ledger that knows no messages."""
    elsewhere = Settings.from_env({}, data_dir=str(tmp_path), store="postgresql://db.example/ledger")
    factory.note_store_elsewhere(elsewhere)
    factory.check_store_setting(elsewhere)
    forgetful = Settings.from_env({}, data_dir=str(tmp_path))

    with pytest.raises(Conflict, match="--store"):
        factory.check_store_setting(forgetful)
    (tmp_path / factory.ELSEWHERE_FILE).unlink()
    factory.check_store_setting(forgetful)
    factory.note_store_elsewhere(forgetful)
    assert not list(tmp_path.iterdir())


def test_a_ledger_that_was_not_moved_is_not_left_behind(old: OldLedger, url: str) -> None:
    """A start on the store is refused if the data directory has an SQLite ledger; the error says how to move it."""
    with pytest.raises(Conflict, match="migrate"):
        factory.check_store_setting(Settings.from_env({}, data_dir=str(old.data_dir), store=url))
    moved(old, url)
    factory.check_store_setting(Settings.from_env({}, data_dir=str(old.data_dir), store=url))


def test_the_old_ledger_is_put_aside(old: OldLedger, url: str) -> None:
    """A service without --store refuses to start on the old ledger and says what to do; a second import is refused."""
    moved(old, url)
    settings = Settings.from_env({}, data_dir=str(old.data_dir))

    assert sorted(p.name for p in old.data_dir.iterdir()) == [MARKER_FILE, "ledger.moved.sqlite", "lock", "master.key"]
    with pytest.raises(Conflict, match="--store"):
        factory.check_store_setting(settings)
    factory.check_store_setting(Settings.from_env({}, data_dir=str(old.data_dir), store=url))
    with pytest.raises(Conflict, match="moved already"):
        moved(old, url)


@pytest.mark.parametrize("lines", [1, 4, 12, 25, 60])
def test_a_killed_import_continues(old: OldLedger, url: str, lines: int) -> None:
    """An import killed at any point continues: every row is copied once, and no service starts before the end."""
    command = [sys.executable, "-m", "tests.integration.migrate_until_killed", str(old.data_dir), url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        seen = [child.stdout.readline() for _ in range(lines)]
        child.send_signal(signal.SIGKILL)
    assert all(seen)
    with pytest.raises(StoreUnavailable, match="being moved"):
        PostgresLedgerReader(url).running_loops()
    with pytest.raises(StoreUnavailable, match="being moved"):
        asyncio.run(checked(PostgresLedgerWriter(url)))
    told: list[tuple[str, int, int]] = []
    compared = import_ledger(old.data_dir, url, lambda *line: told.append(line))

    assert {t.name: t.rows for t in compared}["deliveries"] == EVENTS
    assert len(told) < len(TABLES) * 2 + 10
    reader = PostgresLedgerReader(url)
    assert reader.newest_delivery_id() == old.ids[-1]
    reader.close()


async def checked(ledger: PostgresLedgerWriter) -> None:
    try:
        await ledger.check()
    finally:
        await ledger.close()


@pytest.mark.parametrize(
    ("tampering", "table"),
    [
        ("UPDATE deliveries SET due_at_ms = due_at_ms + 1 WHERE id = 77", "deliveries, row 77"),
        ("DELETE FROM attempts WHERE delivery_id = 3", "attempts, row 3/1"),
        ("INSERT INTO first_hits VALUES (9, 9)", "first_hits, row 9/9"),
        ("UPDATE stored_events SET state = state || '\\x20' WHERE notification_id = 2", "stored_events, row 2"),
    ],
)
def test_a_row_that_differs_is_found(old: OldLedger, url: str, tampering: str, table: str) -> None:
    """A changed, missing or added row is named; the target stays unusable, and the old ledger stays in place."""

    def tamper(name: str, rows: int, total: int) -> None:
        if name == TABLES[-1].name and rows == total:
            with psycopg.connect(url, autocommit=True) as other:
                other.execute(tampering.encode())

    with pytest.raises(StoreError, match=table):
        import_ledger(old.data_dir, url, tamper)
    assert old.path.exists()
    with pytest.raises(StoreUnavailable):
        PostgresLedgerReader(url).running_loops()


@pytest.fixture
def taken(url: str) -> str:
    """A database that is not empty."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE customers (id int)")
    return url


def test_a_database_of_another_application_is_left_unchanged(old: OldLedger, taken: str) -> None:
    """A database of another application is refused; the error names its tables, and nothing is created in it."""
    with pytest.raises(StoreError, match="customers"):
        moved(old, taken)
    with psycopg.connect(taken) as connection:
        assert connection.execute("SELECT relname FROM pg_class WHERE relname = 'stored_events'").fetchall() == []


def test_another_ledger_is_left_unchanged(old: OldLedger, postgres: PostgresServer) -> None:
    """A database that has a ledger already is refused."""
    url = postgres.new_database()
    asyncio.run(checked(PostgresLedgerWriter(url)))
    with pytest.raises(Conflict, match="another ledger"):
        moved(old, url)


def test_an_import_of_a_changed_ledger_is_not_continued(old: OldLedger, url: str) -> None:
    """An import of an earlier state of the file is not continued with a later state."""

    def give_up(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_ledger(old.data_dir, url, give_up)
    with closing(sqlite3.connect(old.path)) as connection, connection:
        connection.execute("UPDATE deliveries SET attempts = 9 WHERE id = 1")
    with pytest.raises(Conflict, match="before it changed"):
        moved(old, url)


def test_a_running_service_is_not_moved(old: OldLedger, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command locks the data directory, and names the process that holds the lock."""
    with DataDir.open(old.data_dir):
        assert migrate.run(["--data-dir", str(old.data_dir), "--store", url], {}) == 1
    assert "in use" in capsys.readouterr().err


def test_the_command_reports_its_work(old: OldLedger, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The command prints each table's rows and checksum, and the next command; the variable replaces the option."""
    assert migrate.run(["--data-dir", str(old.data_dir)], {"FEEDBACK_LOOPS_STORE": url}) == 0
    said = capsys.readouterr().out

    assert [line.split()[1] for line in said.splitlines() if line.startswith("same")] == [t.name for t in TABLES]
    assert "feedback-loops serve --data-dir" in said
    assert "ledger.moved.sqlite" in said


def test_missing_arguments_are_reported(tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """If the store, the directory or its ledger is missing, the message names the option."""
    assert migrate.run(["--data-dir", str(tmp_path)], {}) == 2
    assert "--store" in capsys.readouterr().err
    assert migrate.run(["--data-dir", str(tmp_path / "none"), "--store", url], {}) == 1
    assert "--data-dir" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    with DataDir.open(tmp_path / "empty") as made:
        made.init()
    assert migrate.run(["--data-dir", str(tmp_path / "empty"), "--store", url], {}) == 1
    assert "--data-dir" in capsys.readouterr().err
    with pytest.raises(InvalidInput, match="--store") as refused:
        import_ledger(tmp_path, "postgresql://u:sec%ret@h", lambda *_: None)
    assert "ret" not in str(refused.value)

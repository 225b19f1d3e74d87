"""`feedback-loops compact` on both stores: former bytes leave the files, and everything else stays."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from actors.ledger.postgres.compaction import PostgresCompaction
from actors.ledger.sqlite.compaction import SQLiteCompaction
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.writer import SQLiteLedgerWriter
from actors.settings.data_dir import DataDir
from api.cli.commands import compact
from domain.errors import StoreUnavailable
from tests.contract.ledger_facts import FakeClock, Store, event
from tests.contract.sqlite_store import read_log
from tests.integration.postgres_ledger import ledger
from tests.postgres import PostgresServer

SECRET = "zebra.crossing@example.com"


def fill(store: Store) -> None:
    """Twenty messages to somebody, an event of each, and a message to someone else."""
    tenant = store.account()
    for number in range(1, 21):
        store.append(tenant.message(number, recipient=SECRET))
        store.record(event(tenant, number, fields={"recipient": SECRET}))
    store.append(tenant.message(99, recipient="quiet.neighbour@example.com"))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory with a ledger."""
    with DataDir.open(tmp_path / "data") as made:
        made.init()
    path = tmp_path / "data" / "ledger.sqlite"
    writer, reader = SQLiteLedgerWriter(path, FakeClock()), SQLiteLedgerReader(path)
    fill(Store(writer, reader, FakeClock(), list, dict, Store, SQLiteLedgerWriter))  # type: ignore[arg-type]
    asyncio.run(writer.close())
    reader.close()
    return tmp_path / "data"


def positions(path: Path) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        return [row[0] for row in connection.execute("SELECT rowid FROM stored_events ORDER BY rowid")]


def bytes_of(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file())


def test_sqlite_files_hold_no_deleted_bytes(data_dir: Path) -> None:
    """Deleted values leave the file and its log; what is left keeps its positions in the log."""
    path = data_dir / "ledger.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("DELETE FROM messages")
        connection.execute("DELETE FROM stored_events WHERE topic <> 'account.opened' AND rowid % 3 > 0")
        connection.execute("UPDATE stored_events SET state = '{}' WHERE topic <> 'account.opened'")
        connection.commit()
    before, kept = positions(path), read_log(path)
    assert SECRET.encode() in bytes_of(data_dir)

    compaction = SQLiteCompaction(path)
    [part] = compaction.parts()
    assert compaction.rewrite(part) <= part.size
    assert compaction.finish() is None

    assert SECRET.encode() not in bytes_of(data_dir)
    assert positions(path) == before
    assert read_log(path) == kept


def test_sqlite_says_that_a_reader_keeps_the_log(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that stays for longer than the time limit leaves former bytes in the write-ahead log."""
    monkeypatch.setattr("actors.ledger.sqlite.compaction.LOCK_TIMEOUT_S", 0.1)
    path = data_dir / "ledger.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM messages").fetchall()
        with closing(sqlite3.connect(path)) as writer:
            writer.execute("DELETE FROM messages")
            writer.commit()
        assert "Run the command again" in (SQLiteCompaction(path).finish() or "")
    assert SQLiteCompaction(path).finish() is None


def test_sqlite_does_not_fill_the_disk(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs space for two copies of the file."""
    compaction = SQLiteCompaction(data_dir / "ledger.sqlite")
    assert compaction.missing_bytes() == 0
    [part] = compaction.parts()
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": part.size}))

    assert compaction.missing_bytes() == part.size


def test_a_missing_ledger_is_an_error(tmp_path: Path) -> None:
    """No file is created."""
    with pytest.raises(StoreUnavailable, match="does not exist"):
        SQLiteCompaction(tmp_path / "ledger.sqlite").parts()
    assert not list(tmp_path.iterdir())


def test_the_command_names_the_lock_and_needs_a_confirmation(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without `--yes` and without a terminal, nothing is rewritten."""
    before = (data_dir / "ledger.sqlite").read_bytes()

    assert compact.run(["--data-dir", str(data_dir)], {}) == 2
    shown = capsys.readouterr()
    assert "ledger.sqlite" in shown.out
    assert "hits are answered, and wait in the journal" in shown.err
    assert (data_dir / "ledger.sqlite").read_bytes() == before

    assert compact.run(["--data-dir", str(data_dir), "--yes"], {}) == 0
    assert "locked for" in capsys.readouterr().out


def test_postgresql_files_hold_no_deleted_bytes(server: PostgresServer, url: str) -> None:
    """Deleted values leave the heap files, also those of the planner's statistics."""
    with ledger(url) as store:
        fill(store)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE messages")
            # The statistics of an empty table stay as they are, so one row stays.
            connection.execute("DELETE FROM messages WHERE key < 99")
            connection.execute("DELETE FROM stored_events WHERE position(%s in state) > 0", (SECRET.encode(),))
            connection.execute("CHECKPOINT")
            [(database,)] = connection.execute("SELECT oid FROM pg_database WHERE datname = current_database()")
        folder = server.data / "base" / str(database)
        assert SECRET.encode() in bytes_of(folder)

        compaction = PostgresCompaction(url)
        for part in compaction.parts():
            assert compaction.rewrite(part) <= part.size
        assert compaction.finish() is None

        assert SECRET.encode() not in bytes_of(folder)
        store.account()  # the writer goes on

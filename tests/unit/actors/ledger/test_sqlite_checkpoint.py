"""Emptying of the write-ahead log while others use the file."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from actors.ledger.sqlite import checkpoint
from actors.ledger.sqlite.checkpoint import SQLiteByteClearing
from actors.ledger.sqlite.connection import open_reader, open_writer
from actors.ledger.sqlite.schema import migrate


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "ledger.sqlite"
    with closing(open_writer(made)) as ledger:
        migrate(ledger)
    return made


def write(ledger: sqlite3.Connection, text: str) -> None:
    ledger.execute("INSERT INTO sessions VALUES ('h', ?, 1, 2)", (text,))


def test_no_file_has_deleted_bytes(path: Path) -> None:
    """Neither the file nor its log, while writer and readers stay connected."""
    with closing(open_writer(path)) as ledger, closing(open_reader(path)) as reader:
        write(ledger, "zebra crossing")
        reader.execute("SELECT * FROM sessions").fetchall()
        ledger.execute("DELETE FROM sessions")
        assert b"zebra crossing" in b"".join(file.read_bytes() for file in path.parent.iterdir())

        assert SQLiteByteClearing(path).clear() is None
        assert b"zebra crossing" not in b"".join(file.read_bytes() for file in path.parent.iterdir())


def test_a_long_read_is_named_and_holds_up_no_writer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as a reader needs the log, the caller learns why it waits; a writer commits meanwhile."""
    monkeypatch.setattr(checkpoint, "TRIES_S", 0.2)
    with closing(open_writer(path)) as ledger, closing(open_reader(path)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM sessions").fetchall()
        write(ledger, "zebra crossing")
        took_s: list[float] = []

        def write_meanwhile(_pause_s: float) -> None:
            began_s = time.perf_counter()
            ledger.execute("UPDATE sessions SET used_at_ms = used_at_ms + 1")
            took_s.append(time.perf_counter() - began_s)

        problem = SQLiteByteClearing(path, sleep=write_meanwhile).clear()
        assert problem is not None
        assert "readers" in problem
        assert took_s
        reader.execute("ROLLBACK")

        assert SQLiteByteClearing(path).clear() is None

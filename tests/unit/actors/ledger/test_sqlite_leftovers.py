"""Copies of rows that SQLite leaves in pages when it moves rows between them."""

from __future__ import annotations

import random
import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from actors.ledger.sqlite.checkpoint import SQLiteByteClearing
from actors.ledger.sqlite.connection import open_reader, open_writer
from actors.ledger.sqlite.leftovers import Leftovers
from actors.ledger.sqlite.schema import migrate

TEXT = b"zebra crossing"
TABLES = 20
ROWS = 60


def fill(ledger: sqlite3.Connection) -> None:
    """Tables with rows in random order, all of which are then changed."""
    rng = random.Random(1)
    for table in range(TABLES):
        ledger.execute(f"CREATE TABLE t{table} (id TEXT PRIMARY KEY, v BLOB) WITHOUT ROWID")
        for _ in range(ROWS):
            row = (f"{rng.getrandbits(128):032x}", TEXT + b"x" * rng.randrange(20, 1500))
            ledger.execute(f"INSERT INTO t{table} VALUES (?, ?)", row)
    for table in range(TABLES):
        ledger.execute(f"UPDATE t{table} SET v = 'redacted'")


def touch(ledger: sqlite3.Connection) -> None:
    """Changes every page."""
    for table in range(TABLES):
        ledger.execute(f"UPDATE t{table} SET v = 'REDACTED'")


def all_bytes(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.parent.iterdir())


def rows_of(ledger: sqlite3.Connection) -> int:
    return sum(ledger.execute(f"SELECT count(*) FROM t{table}").fetchone()[0] for table in range(TABLES))


class ReadMeanwhile(Leftovers):
    """`Leftovers` before whose removal the connection that writes reads everything into its memory."""

    def __init__(self, path: Path, ledger: sqlite3.Connection) -> None:
        super().__init__(path)
        self._ledger = ledger

    def clear(self, pages: Sequence[int]) -> None:
        rows_of(self._ledger)
        super().clear(pages)


def test_copies_of_moved_rows_are_cleared_for_good(tmp_path: Path) -> None:
    """No page has them, and none comes back from the memory of a connection that writes."""
    path = tmp_path / "ledger.sqlite"
    with closing(open_writer(path)) as ledger, closing(open_reader(path)) as reader:
        migrate(ledger)
        fill(ledger)
        reader.execute("SELECT * FROM t1").fetchall()
        ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert TEXT in path.read_bytes()  # what `secure_delete` leaves

        clearing = SQLiteByteClearing(
            path, sleep=lambda _pause_s: touch(ledger), search=lambda file: ReadMeanwhile(file, ledger)
        )
        assert clearing.clear() is None
        assert clearing.outside == ()
        assert TEXT not in all_bytes(path)

        touch(ledger)
        assert TEXT not in all_bytes(path)
        ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert TEXT not in all_bytes(path)
        assert rows_of(reader) == TABLES * ROWS
        assert ledger.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_writers_go_on_meanwhile(tmp_path: Path) -> None:
    """The file stays whole, nothing is lost, and no copy is left while another connection writes all the time."""
    path = tmp_path / "ledger.sqlite"
    with closing(open_writer(path)) as ledger:
        migrate(ledger)
        fill(ledger)
        ledger.execute("CREATE TABLE written (id TEXT PRIMARY KEY, v TEXT)")
        stop, has_written = threading.Event(), threading.Event()
        written: list[int] = []

        def write() -> None:
            rng = random.Random(2)
            while not stop.wait(0.001):
                row = (f"{rng.getrandbits(128):032x}", "y" * rng.randrange(1000))
                ledger.execute("INSERT INTO written VALUES (?, ?)", row)
                written.append(1)
                has_written.set()

        thread = threading.Thread(target=write)
        thread.start()
        try:
            assert has_written.wait(10)
            for _ in range(3):
                assert SQLiteByteClearing(path).clear() is None
        finally:
            stop.set()
            thread.join()
        touch(ledger)
        ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert TEXT not in all_bytes(path)
        assert ledger.execute("SELECT count(*) FROM written").fetchone() == (len(written),)
        assert ledger.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_files_with_other_kinds_of_pages_are_not_searched(tmp_path: Path) -> None:
    """With auto-vacuum, a file has pages that look like pages of rows."""
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA auto_vacuum = FULL")
        other.execute("CREATE TABLE t (x)")
    assert not Leftovers(path).open()

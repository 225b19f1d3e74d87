"""Import of an SQLite ledger into PostgreSQL: copies each table, compares every row, and renames the old file.

The progress is recorded in the target, in the same transactions as the rows, so an interrupted import can continue. The
target's schema version stays negative until all rows have been compared, so that no service uses it.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import psycopg
from psycopg import Connection

from actors.ledger.factory import LEDGER_FILE, MOVED_FILE
from actors.ledger.postgres.connection import check_url, open_importer
from actors.ledger.postgres.errors import to_domain_error
from actors.ledger.postgres.import_tables import TABLES, Row, Table
from actors.ledger.postgres.schema import migrate, record_version, recorded_version
from actors.ledger.sqlite.connection import open_writer
from actors.ledger.sqlite.errors import to_domain_error as sqlite_to_domain_error
from actors.ledger.sqlite.schema import migrate as migrate_sqlite
from actors.ledger.store_connection import closed_on_error
from domain.errors import Conflict, StoreError

#: Rows per transaction when copying, and per query when comparing.
BATCH: Final = 5_000
_LOCK: Final = 0x6665_6564_6D6F_7665
_PROGRESS: Final = """
    CREATE TABLE IF NOT EXISTS moved_from (source text NOT NULL);
    CREATE TABLE IF NOT EXISTS moved (
        table_name text PRIMARY KEY, rows bigint NOT NULL, after_key text, is_done boolean NOT NULL
    )
"""

Report = Callable[[str, int, int], None]
_encode: Final = msgspec.msgpack.Encoder().encode


class ImportedTable(NamedTuple):
    """A table that is the same in both stores."""

    name: str
    rows: int
    #: SHA-256 of all rows in order, hexadecimal.
    checksum: str


def import_ledger(data_dir: Path, url: str, report: Report, batch: int = BATCH) -> list[ImportedTable]:
    """Imports the ledger of a data directory, which the caller has locked. Returns the compared tables.

    Continues an interrupted import. `report` receives the name of a table, the rows copied so far, and all its rows.

    Raises:
        InvalidInput: the URL is invalid.
        Conflict: there is no ledger to import, or the target is not empty.
        StoreError: a row differs after copying; the text names it.
        StoreUnavailable: a store cannot be used now; run the import again.
    """
    check_url(url)
    path = data_dir / LEDGER_FILE
    if not path.exists():
        what = "it was moved already" if (data_dir / MOVED_FILE).exists() else "no service has used it"
        raise Conflict(f"{data_dir} holds no {LEDGER_FILE}: {what}; name another directory with --data-dir")
    try:
        with closing(_open_source(path)) as source, closing(open_importer(url)) as target:
            compared = _Import(source, target, _identity(path), report, batch).run()
    except psycopg.Error as exc:
        raise to_domain_error(exc) from exc
    except sqlite3.Error as exc:
        raise sqlite_to_domain_error(exc) from exc
    path.rename(data_dir / MOVED_FILE)
    return compared


def _open_source(path: Path) -> sqlite3.Connection:
    """The old ledger, migrated to this program's schema, with its write-ahead log moved into the file."""
    connection = open_writer(path)
    with closed_on_error(connection):
        migrate_sqlite(connection)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return connection


def _identity(path: Path) -> str:
    """Identifies the file with its present content: another file, or a later write, has another identity."""
    found = path.stat()
    return json.dumps([found.st_size, found.st_mtime_ns])


class _Import:
    def __init__(
        self, source: sqlite3.Connection, target: Connection[Any], identity: str, report: Report, batch: int
    ) -> None:
        self._source = source
        self._target = target
        self._identity = identity
        self._report = report
        self._batch = batch

    def run(self) -> list[ImportedTable]:
        if not self._prepare():
            return []
        for table in TABLES:
            self._copy(table)
        compared = [self._compare(table) for table in TABLES]
        with self._target.transaction():
            self._target.execute(
                "SELECT setval(pg_get_serial_sequence('stored_events', 'notification_id'),"
                " coalesce((SELECT max(notification_id) FROM stored_events), 0) + 1, false)"
            )
            record_version(self._target, -recorded_version(self._target))
        self._target.execute("ANALYZE")
        return compared

    def _prepare(self) -> bool:
        """Prepares the target. Returns False if this very file has been imported completely."""
        [(is_alone,)] = self._target.execute(f"SELECT pg_try_advisory_lock({_LOCK})".encode()).fetchall()
        if not is_alone:
            raise Conflict("another `feedback-loops migrate` is using this store: wait until it has finished")
        version = recorded_version(self._target)
        if version == 0:
            with self._target.transaction():
                migrate(self._target)
                record_version(self._target, -recorded_version(self._target))
                self._target.execute(_PROGRESS)
                self._target.execute("INSERT INTO moved_from VALUES (%s)", (self._identity,))
            return True
        [(has_begun,)] = self._target.execute("SELECT to_regclass('moved_from') IS NOT NULL").fetchall()
        if not has_begun:
            raise Conflict("the store holds another ledger: name an empty database with --store (FEEDBACK_LOOPS_STORE)")
        [(identity,)] = self._target.execute("SELECT source FROM moved_from").fetchall()
        if identity != self._identity:
            raise Conflict(
                f"the store holds a copy of another {LEDGER_FILE}, or of this one before it changed: "
                "name an empty database with --store (FEEDBACK_LOOPS_STORE)"
            )
        return version < 0

    # --- copying

    def _copy(self, table: Table) -> None:
        total = self._source.execute(f"SELECT count(*) FROM {table.name}").fetchone()[0]  # noqa: S608 - a constant name
        rows, after, is_done = self._progress(table)
        while not is_done:
            batch = self._read_source(table, after)
            rows += len(batch)
            after = table.key_of(batch[-1]) if batch else after
            is_done = len(batch) < self._batch
            with self._target.transaction():
                self._write(table, batch)
                self._target.execute(
                    "UPDATE moved SET rows = %s, after_key = %s, is_done = %s WHERE table_name = %s",
                    (rows, None if after is None else json.dumps([_to_json(v) for v in after]), is_done, table.name),
                )
            self._report(table.name, rows, total)

    def _progress(self, table: Table) -> tuple[int, Row | None, bool]:
        found = self._target.execute(
            "SELECT rows, after_key, is_done FROM moved WHERE table_name = %s", (table.name,)
        ).fetchone()
        if found is None:
            with self._target.transaction():
                # A new schema has rows in some tables.
                self._target.execute(f"DELETE FROM {table.name}".encode())  # noqa: S608 - a constant name
                self._target.execute("INSERT INTO moved VALUES (%s, 0, NULL, false)", (table.name,))
            return 0, None, False
        rows, after, is_done = found
        return rows, None if after is None else tuple(_from_json(v) for v in json.loads(after)), is_done

    def _read_source(self, table: Table, after: Row | None) -> list[Row]:
        statement = table.select(self._batch, on_sqlite=True, is_first=after is None)
        return self._source.execute(statement, after or ()).fetchall()

    def _write(self, table: Table, batch: list[Row]) -> None:
        columns = ", ".join(table.columns)
        with (
            self._target.cursor() as cursor,
            cursor.copy(f"COPY {table.name} ({columns}) FROM STDIN".encode()) as copy,
        ):
            for row in batch:
                values = table.comparable(row)
                copy.write_row(
                    [
                        v.hex() if n in table.ids and v is not None else v
                        for n, v in zip(table.columns, values, strict=True)
                    ]
                )

    # --- comparing

    def _compare(self, table: Table) -> ImportedTable:
        rows, checksum = 0, hashlib.sha256()
        for ours, theirs in zip_longest(_rows(table, self._read_source), _rows(table, self._read_target)):
            if ours != theirs:
                key = table.key_of(ours or theirs)
                raise StoreError(
                    f"the copy differs: {table.name}, row {'/'.join(map(_shown, key))}. {LEDGER_FILE} is unchanged. "
                    "Name an empty database with --store (FEEDBACK_LOOPS_STORE), and run the command again"
                )
            rows += 1
            checksum.update(_encode(ours))
        return ImportedTable(table.name, rows, checksum.hexdigest())

    def _read_target(self, table: Table, after: Row | None) -> list[Row]:
        statement = table.select(self._batch, on_sqlite=False, is_first=after is None)
        return self._target.execute(statement.encode(), after or None).fetchall()


def _rows(table: Table, read: Callable[[Table, Row | None], list[Row]]) -> Iterator[Row]:
    """All rows of a table, comparable, from a function that reads the next ones after a key."""
    after: Row | None = None
    while batch := read(table, after):
        after = table.key_of(batch[-1])
        yield from map(table.comparable, batch)


def _to_json(value: Any) -> Any:
    """A key value as JSON."""
    return {"id": value.hex()} if isinstance(value, bytes) else value


def _from_json(value: Any) -> Any:
    """The key value that `_to_json` encoded."""
    return bytes.fromhex(value["id"]) if isinstance(value, dict) else value


def _shown(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)

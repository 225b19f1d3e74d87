"""Checks of the store and the journal, whether the service is running or not."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Final

from actors.commands.intake import received_ms
from actors.ledger.factory import refuse_moved_ledger, refuse_unmoved_ledger
from actors.ledger.reader import LedgerReader
from actors.ledger.sqlite.connection import open_reader, open_writer
from actors.ledger.sqlite.schema import SCHEMA_VERSION, schema_version
from actors.ports import LoopBacklog
from actors.settings.store_place import store_place
from api.cli.doctor.findings import Finding, ok, problem, warning
from api.journal.summary import read_summary
from domain.breaker import OPEN
from domain.errors import Conflict, FeedbackLoopsError, StoreError, StoreUnavailable

MIB: Final = 1024 * 1024
#: A larger file is not checked completely: that would slow down the service's disk.
READ_THROUGH_BYTES: Final = 256 * MIB
LOCK_S: Final = 3.0
#: Bytes that the disk must still take.
_TRIED_BYTES: Final = 256 * 1024
#: A write-ahead log this large means that a reader keeps it from being truncated.
LONG_LOG_BYTES: Final = 512 * MIB
_CANNOT_WRITE: Final = "Look for a full or read-only disk, a wrong owner, or a program that locks the file (`fuser`)."
_RESTORE: Final = "Stop the service and restore the data directory from a backup."


def check_ledger_file(path: Path) -> Sequence[Finding]:
    """Checks that the SQLite file is intact, has a known version, and can be written."""
    if not path.exists():
        try:
            refuse_moved_ledger(path.parent)
        except Conflict as exc:
            advice = "Set --store, here and where the service starts."
            return [problem("store", str(exc).partition(":")[0], advice)]
        return [ok("store", f"{path} does not exist yet: the first start creates it")]
    try:
        _try_to_write(path.parent)
    except OSError as exc:  # on a full disk, SQLite cannot even read, or takes a lock although it cannot write
        return [problem("store", f"{path} cannot be written: {exc}", _CANNOT_WRITE)]
    return _look_into(path)


def check_same_store(used: str | None, named: str | None) -> Finding | None:
    """Compares the store of the running service, a place, with the one named here, a URL. None: they are the same."""
    here = store_place(named)
    if here == used:
        return None
    found = f"the running service uses {used or 'SQLite'}, but the environment of this command names {here or 'SQLite'}"
    advice = "Run the command with the same FEEDBACK_LOOPS_STORE as `serve`; the store was not checked."
    return problem("store", found, advice)


def check_left_behind(data_dir: Path) -> Sequence[Finding]:
    """Checks that a data directory with its ledger on PostgreSQL has no SQLite ledger, which `serve` refuses."""
    try:
        refuse_unmoved_ledger(data_dir)
    except Conflict as exc:
        found, _, advice = str(exc).partition(": ")
        return [problem("store", found, advice[:1].upper() + advice[1:] + ".")]
    return []


def _look_into(path: Path) -> Sequence[Finding]:
    size = path.stat().st_size
    try:
        with closing(open_reader(path, LOCK_S)) as connection:
            version = schema_version(connection)
            damage = None
            if size <= READ_THROUGH_BYTES:
                damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except StoreError:
        found = f"{path} was made by an unreleased version of this program"
        return [problem("store", found, "Start with a new data directory (--data-dir).")]
    except sqlite3.Error as exc:
        return [problem("store", f"{path} cannot be read: {exc}", _RESTORE)]
    if damage not in {None, "ok"}:
        return [problem("store", f"{path} is damaged: {damage.splitlines()[0]}", _RESTORE)]
    if version > SCHEMA_VERSION:
        found = f"{path} has schema version {version}, this program knows versions up to {SCHEMA_VERSION}"
        return [problem("store", found, "Use the newer version that wrote it, or a backup from before the upgrade.")]
    written = _problem_with_writing(path)
    if written is not None:
        return [written]
    found = f"{path.name} can be read and written, has schema version {version} and {size // MIB} MiB"
    if version < SCHEMA_VERSION:
        return [
            warning("store", f"{found}; this program's is {SCHEMA_VERSION}", "The next start brings it up to date.")
        ]
    return [ok("store", found), *_log_of(path)]


def _problem_with_writing(path: Path) -> Finding | None:
    try:
        with closing(open_writer(path, LOCK_S)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError as exc:
        return problem("store", f"{path} cannot be written: {exc}", _CANNOT_WRITE)
    return None


def _try_to_write(folder: Path) -> None:
    """Writes to a file without a name. Raises `OSError`."""
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        left = _TRIED_BYTES
        while left:
            left -= file.write(bytes(left))
        os.fsync(file.fileno())


def _log_of(path: Path) -> Sequence[Finding]:
    log = path.with_name(f"{path.name}-wal")
    size = log.stat().st_size if log.exists() else 0
    if size < LONG_LOG_BYTES:
        return []
    advice = "A program, perhaps a backup, has been reading the ledger for a long time: let it finish."
    return [warning("store", f"the write-ahead log has grown to {size // MIB} MiB", advice)]


def check_backlog(reader: LedgerReader, now_ms: int) -> Sequence[Finding]:
    """Checks the backlogs."""
    try:
        groups = reader.backlogs(now_ms, 100_000)
    except StoreUnavailable as exc:
        return [problem("store", str(exc).rstrip("."), "Start the store, or correct --store (FEEDBACK_LOOPS_STORE).")]
    except StoreError as exc:
        return [problem("store", str(exc).rstrip("."), "Use a program and a store of the same version.")]
    except FeedbackLoopsError as exc:
        return [problem("store", f"it cannot be read: {exc}", "Check that the store is running and reachable.")]
    return [_handlers(groups), _late(groups, now_ms)]


def _handlers(groups: Sequence[LoopBacklog]) -> Finding:
    loops = sum(group.loops for group in groups)
    down = sum(group.loops for group in groups if group.state == "active" and group.breaker == OPEN)
    disabled = sum(group.loops for group in groups if group.state == "disabled")
    found = f"of {loops} loops, {down} cannot reach their handler, {disabled} are disabled"
    if not down and not disabled:
        return ok("loops", found)
    return warning("loops", found, "`feedback-loops loops list` lists them; `doctor --loop ID` explains one.")


def _late(groups: Sequence[LoopBacklog], now_ms: int) -> Finding:
    up = [group for group in groups if group.state == "active" and group.breaker != OPEN]
    waiting = sum(group.waiting for group in up)
    oldest_s = max(((now_ms - g.oldest_due_ms) / 1000 for g in up if g.oldest_due_ms is not None), default=0.0)
    found = f"{waiting} deliveries to working handlers are due, the oldest since {max(oldest_s, 0):.0f} s"
    if oldest_s < 60:
        return ok("backlog", found)
    return warning(
        "backlog", found, "Start the service if it is down; otherwise check the loops' rate limits and concurrency."
    )


def check_journal(path: Path, now_ms: int) -> Sequence[Finding]:
    """Checks the journal of a service that is not running."""
    if not (path / "data.mdb").exists():
        return [ok("journal", "there is none yet: the first start creates it")]
    try:
        held = read_summary(path)
    except FeedbackLoopsError as exc:
        advice = "Check the owner of its files. A start sets a corrupt journal aside, with its hits; copy it first."
        return [problem("journal", str(exc), advice)]
    found = []
    if held.set_aside:
        what = f"{held.set_aside} unreadable hits were set aside"
        found.append(warning("journal", what, "Report it: see `hit_set_aside` in the log."))
    if not held.entries or held.oldest is None:
        return [*found, ok("journal", "no hits are waiting")]
    age_s = max(now_ms - (received_ms(held.oldest) or now_ms), 0) / 1000
    what = f"{held.entries} answered hits are waiting, the oldest for {age_s:.0f} s"
    return [*found, warning("journal", what, "Start the service: it forwards them.")]

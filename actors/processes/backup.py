"""Backup and restore of a data directory. The service may run during a backup.

A backup is a directory with the keys, the journal, the ledger and `manifest.json`. The manifest is written last, and
without it the backup is not complete. The journal is copied before the ledger, so a hit that moves from one to the
other meanwhile is in both; it is recorded once after a restore.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import lmdb

from actors.ledger.factory import ELSEWHERE, ELSEWHERE_FILE
from actors.ledger.sqlite.connection import open_reader
from actors.ledger.sqlite.schema import SCHEMA_VERSION, schema_version
from actors.settings.data_dir import FORMAT_FILE, DataDir, check_format, make_durable, write_private
from domain.errors import Conflict, InvalidInput, StoreError, StoreUnavailable

MANIFEST: Final = "manifest.json"
LEDGER: Final = "ledger.sqlite"
JOURNAL: Final = "journal/data.mdb"
KEYS: Final = ("master.key", "admin.key")
#: Contents of a new data directory.
_NEW: Final = frozenset({"lock", "lost+found", FORMAT_FILE})
#: The version of the layout described above; any other is refused. Development versions before 0.2.0 wrote 1.
FORMAT: Final = 2


class BackedUp(NamedTuple):
    """Contents of a backup: the size of each file in bytes."""

    sizes: Mapping[str, int]

    @property
    def has_ledger(self) -> bool:
        """Whether the backup includes the ledger. If not, the ledger is on PostgreSQL and needs its own backup."""
        return LEDGER in self.sizes


def back_up(data_dir: Path, target: Path, now: str) -> BackedUp:
    """Copies everything that must survive from a data directory to `target`, a new or empty directory.

    The copy contains everything that was answered before the call. The manifest contains `now`, for people.

    Raises:
        InvalidInput: there is no data directory of a service, or `target` is not empty.
        StoreError: another version of this program wrote the data directory.
        StoreUnavailable: a file cannot be read or written.
    """
    if not (data_dir / KEYS[0]).is_file():
        raise _wrong("--data-dir", f"{data_dir} is not the data directory of a service: it has no {KEYS[0]}")
    check_format(data_dir)
    with _failing(f"{data_dir} cannot be backed up to {target}"):
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise _wrong("target", f"{target} is not empty: name a new directory for each backup")
        for name in KEYS:
            if (data_dir / name).is_file():
                write_private(target / name, (data_dir / name).read_text())
        _copy_journal(data_dir, target)
        version = _copy_ledger(data_dir, target)
        files = {name: _facts(target / name) for name in (*KEYS, JOURNAL, LEDGER) if (target / name).is_file()}
        manifest = {"format": FORMAT, "made_at": now, "schema_version": version, "files": files}
        write_private(target / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    return BackedUp({name: int(facts["bytes"]) for name, facts in files.items()})


def restore(source: Path, data_dir: Path) -> BackedUp:
    """Restores a backup to a new or empty data directory, after checking every byte of it.

    Raises:
        InvalidInput: `source` is not a complete backup, or it is damaged; nothing was written.
        StoreError: another version of this program made the backup; nothing was written.
        Conflict: the data directory is in use, or not empty.
        StoreUnavailable: a file cannot be read or written.
    """
    sizes = _checked(source)
    with DataDir.open(data_dir), _failing(f"{source} cannot be restored to {data_dir}"):
        if taken := sorted(entry.name for entry in data_dir.iterdir() if entry.name not in _NEW):
            raise Conflict(f"{data_dir} contains {taken[0]} already: name a new directory with --data-dir")
        if LEDGER not in sizes:
            write_private(data_dir / ELSEWHERE_FILE, ELSEWHERE)
        # The keys come last, so that an incomplete restore does not look like a used data directory.
        for name in sorted(sizes, key=KEYS.__contains__):
            _copy_durably(source / name, data_dir / name)
    return BackedUp(sizes)


def _copy_journal(data_dir: Path, target: Path) -> None:
    if not (data_dir / JOURNAL).is_file():
        return
    folder = (target / JOURNAL).parent
    folder.mkdir(mode=0o700)
    with closing(lmdb.open(str((data_dir / JOURNAL).parent), readonly=True, create=False)) as journal:
        journal.copy(str(folder), compact=True)
    _make_private_and_durable(target / JOURNAL)


def _copy_ledger(data_dir: Path, target: Path) -> int | None:
    """Returns the version of the schema, or None if there is no ledger."""
    if not (data_dir / LEDGER).is_file():
        return None
    with closing(open_reader(data_dir / LEDGER)) as ledger, closing(sqlite3.connect(target / LEDGER)) as copy:
        # Copying in one step gives a consistent snapshot, and does not block the writer.
        ledger.backup(copy, pages=-1)
        _check_ledger(copy)
        version = schema_version(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # without -wal and -shm files
    _make_private_and_durable(target / LEDGER)
    return version


def _check_ledger(ledger: sqlite3.Connection) -> None:
    (found,) = ledger.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise StoreUnavailable(f"the ledger is damaged ({found}): restore an older backup")


def _checked(source: Path) -> dict[str, int]:
    """Checks that a backup is complete. Returns the sizes of its files."""
    try:
        manifest = json.loads((source / MANIFEST).read_text())
        files, form, version = dict(manifest["files"]), manifest["format"], manifest["schema_version"]
        expected = {str(name): (int(facts["bytes"]), str(facts["sha256"])) for name, facts in files.items()}
    except OSError as exc:
        raise _wrong(
            "source", f"{source} is not a complete backup: {MANIFEST} cannot be read ({exc.strerror})"
        ) from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise _wrong("source", f"{source / MANIFEST} is damaged: use an older backup") from exc
    if form == 1:
        raise StoreError(f"{source} was made by an unreleased version, from before 0.2.0, and cannot be restored")
    if form != FORMAT or (version or 0) > SCHEMA_VERSION:
        raise StoreError(f"{source} was made by a newer program: restore it with that program")
    if strange := expected.keys() - {*KEYS, JOURNAL, LEDGER}:
        raise _wrong("source", f"{source / MANIFEST} names {min(strange)}, which is not part of a backup")
    for name, (size, digest) in expected.items():
        with _failing(f"{source / name} cannot be read"):
            facts = _facts(source / name)
        if (facts["bytes"], facts["sha256"]) != (size, digest):
            raise _wrong("source", f"{source / name} is damaged: use an older backup")
    return {name: size for name, (size, _) in expected.items()}


def _facts(path: Path) -> dict[str, int | str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _copy_durably(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, exist_ok=True)
    temporary = target.with_name(f"{target.name}.new")
    shutil.copyfile(source, temporary)
    _make_private_and_durable(temporary)
    temporary.replace(target)
    make_durable(target.parent)


def _make_private_and_durable(path: Path) -> None:
    """Makes a file readable for its owner only, and flushes it to the disk."""
    path.chmod(0o600)
    make_durable(path)


@contextmanager
def _failing(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error, lmdb.Error) as exc:
        raise StoreUnavailable(f"{what}: {exc}") from exc


def _wrong(field: str, problem: str) -> InvalidInput:
    return InvalidInput(problem, [(field, problem)])

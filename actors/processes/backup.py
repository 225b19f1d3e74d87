"""Backing a data directory up while its service runs, and putting a back-up into a new one.

A back-up is a directory: the keys, the journal, the ledger, and last of all `manifest.json`, without which it is none.
The journal is copied before the ledger: a hit on its way from one to the other is in both, and is then recorded once.
"""

from __future__ import annotations

import hashlib
import json
import os
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
from actors.settings.data_dir import DataDir, write_private
from domain.errors import Conflict, InvalidInput, StoreError, StoreUnavailable

MANIFEST: Final = "manifest.json"
LEDGER: Final = "ledger.sqlite"
JOURNAL: Final = "journal/data.mdb"
KEYS: Final = ("master.key", "admin.key")
#: The version of the layout described above; any other is refused. Development versions before 0.2.0 wrote 1.
FORMAT: Final = 2


class BackedUp(NamedTuple):
    """What a back-up holds: bytes by file."""

    sizes: Mapping[str, int]

    @property
    def has_ledger(self) -> bool:
        """False: the ledger is on a server of its own, and so is its back-up."""
        return LEDGER in self.sizes


def back_up(data_dir: Path, target: Path, now: str) -> BackedUp:
    """Copies all that must outlive a data directory into `target`, a new or empty directory. The service may run.

    All that was answered before this began is in the copy. `now` is kept in the manifest, for people.

    Raises:
        InvalidInput: there is no data directory of a service, or something is in `target` already.
        StoreUnavailable: a file cannot be read or written.
    """
    if not (data_dir / KEYS[0]).is_file():
        raise _wrong("--data-dir", f"{data_dir} is no data directory of a service: it holds no {KEYS[0]}")
    with _failing(f"{data_dir} cannot be backed up to {target}"):
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise _wrong("target", f"{target} is not empty: name a new directory for each back-up")
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
    """Puts a back-up into a data directory that holds none yet, having checked every byte of it.

    Raises:
        InvalidInput: `source` is no whole back-up, was damaged, or is of a newer version; nothing was written.
        Conflict: the data directory is in use, or holds something.
        StoreUnavailable: a file cannot be read or written.
    """
    sizes = _checked(source)
    with DataDir.open(data_dir), _failing(f"{source} cannot be put into {data_dir}"):
        if taken := sorted(entry.name for entry in data_dir.iterdir() if entry.name not in {"lock", "lost+found"}):
            raise Conflict(f"{data_dir} holds {taken[0]} already: name a new directory with --data-dir")
        if LEDGER not in sizes:
            write_private(data_dir / ELSEWHERE_FILE, ELSEWHERE)
        # The keys last: a directory that was filled by half is not one that a service has ever used.
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
    _keep(target / JOURNAL)


def _copy_ledger(data_dir: Path, target: Path) -> int | None:
    """The schema's version; None where there is no ledger."""
    if not (data_dir / LEDGER).is_file():
        return None
    with closing(open_reader(data_dir / LEDGER)) as ledger, closing(sqlite3.connect(target / LEDGER)) as copy:
        # In one step: the copy is of one moment, and the writer goes on beside it.
        ledger.backup(copy, pages=-1)
        _check_ledger(copy)
        version = schema_version(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file holds it all
    _keep(target / LEDGER)
    return version


def _check_ledger(ledger: sqlite3.Connection) -> None:
    (found,) = ledger.execute("PRAGMA quick_check(1)").fetchone()
    if found != "ok":
        raise StoreUnavailable(f"the ledger is damaged ({found}): go back to an older back-up")


def _checked(source: Path) -> dict[str, int]:
    """The files of a back-up that is whole, and their sizes."""
    try:
        manifest = json.loads((source / MANIFEST).read_text())
        files, form, version = dict(manifest["files"]), manifest["format"], manifest["schema_version"]
        told = {str(name): (int(facts["bytes"]), str(facts["sha256"])) for name, facts in files.items()}
    except OSError as exc:
        raise _wrong("source", f"{source} is no whole back-up: {MANIFEST} cannot be read ({exc.strerror})") from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise _wrong("source", f"{source / MANIFEST} is damaged: go back to an older back-up") from exc
    if form == 1:
        raise StoreError(f"{source} was made by an unreleased version, from before 0.2.0, and cannot be restored")
    if form != FORMAT or (version or 0) > SCHEMA_VERSION:
        raise StoreError(f"{source} was made by a newer program: install that one, and restore with it")
    if strange := told.keys() - {*KEYS, JOURNAL, LEDGER}:
        raise _wrong("source", f"{source / MANIFEST} names {min(strange)}, which no back-up holds")
    for name, expected in told.items():
        with _failing(f"{source / name} cannot be read"):
            facts = _facts(source / name)
        if (facts["bytes"], facts["sha256"]) != expected:
            raise _wrong("source", f"{source / name} is damaged: go back to an older back-up")
    return {name: size for name, (size, _) in told.items()}


def _facts(path: Path) -> dict[str, int | str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def _copy_durably(source: Path, target: Path) -> None:
    target.parent.mkdir(mode=0o700, exist_ok=True)
    temporary = target.with_name(f"{target.name}.new")
    shutil.copyfile(source, temporary)
    _keep(temporary)
    temporary.replace(target)
    _make_durable(target.parent)


def _keep(path: Path) -> None:
    """Closes a file to others, and has it survive a power cut."""
    path.chmod(0o600)
    _make_durable(path)


def _make_durable(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _failing(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error, lmdb.Error) as exc:
        raise StoreUnavailable(f"{what}: {exc}") from exc


def _wrong(field: str, problem: str) -> InvalidInput:
    return InvalidInput(problem, [(field, problem)])

"""Backup of a data directory. The service may run meanwhile.

A backup is a directory with the keys, the file of erasures, the marker, the journal, its spool, the ledger and
`manifest.json`. The manifest is written last, and without it the backup is not complete. They are copied in this
order, so what moves from the journal to the ledger meanwhile is in both; it is recorded once after a restore. A spool
file that is gone by then is in the ledger. If an erasure completes meanwhile, everything is copied again.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

import lmdb

from actors.installation.erasure_file import FILE as ERASURES
from actors.ledger.factory import ELSEWHERE_FILE, MOVED_FILE
from actors.ledger.sqlite.connection import open_reader
from actors.ledger.sqlite.schema import schema_version
from actors.settings.data_dir import make_durable, write_private
from actors.settings.data_dir_marker import MARKER_FILE, require_marker
from actors.settings.data_dir_watch import FileIdentity
from domain.errors import InvalidInput, StoreUnavailable

MANIFEST: Final = "manifest.json"
LEDGER: Final = "ledger.sqlite"
JOURNAL: Final = "journal/data.mdb"
KEYS: Final = ("keys.json", "master.key", "admin.key")
#: Copied first, and restored last, so that an incomplete restore does not look like a data directory.
SMALL: Final = (*KEYS, ERASURES, MARKER_FILE)
SPOOL: Final = "spool"
SPOOLED: Final = re.compile(rf"{SPOOL}/[0-9a-f]{{32}}")
#: The version of the layout described above; any other is refused. Development versions before 0.2.0 wrote 1 and 2.
FORMAT: Final = 3
#: A front end writes down an erasure once its journal holds no more of the person; a copy from before may.
_TRIES: Final = 3


class BackedUp(NamedTuple):
    """Contents of a backup: the size of each file in bytes."""

    sizes: Mapping[str, int]

    @property
    def has_ledger(self) -> bool:
        """Whether the backup includes the ledger. If not, the ledger is on PostgreSQL and needs its own backup."""
        return LEDGER in self.sizes


def back_up(data_dir: Path, target: Path, now: str, *, with_ledger: bool = True) -> BackedUp:
    """Copies everything that must survive from a data directory to `target`, a new or empty directory.

    The copy contains everything that was answered before the call. The manifest contains `now`, for people. Without
    the ledger, the caller copies that afterwards.

    Raises:
        InvalidInput: `target` is not empty, or within the data directory.
        Conflict: there is no data directory of a service.
        StoreError: another version of this program wrote the data directory.
        StoreUnavailable: a file cannot be read or written, or the data directory was replaced meanwhile.
    """
    require_marker(data_dir)
    if target.resolve().is_relative_to(data_dir.resolve()):
        raise wrong("target", f"{target} is in the data directory, and would be lost with it: name another place")
    with failing(f"{data_dir} cannot be read"):
        began_in = FileIdentity.of(data_dir.stat())
    with failing(f"{data_dir} cannot be backed up to {target}"):
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(target.iterdir()):
            raise wrong("target", f"{target} is not empty: name a new directory for each backup")
        for _ in range(_TRIES):
            spooled = _copy_edge(data_dir, target)
            version = _copy_ledger(data_dir, target) if with_ledger else None
            if _content(data_dir / ERASURES) == _content(target / ERASURES):
                break
        else:
            raise StoreUnavailable("erasures of people complete all the time: back up again later")
        files = {
            name: facts(target / name) for name in (*SMALL, JOURNAL, *spooled, LEDGER) if (target / name).is_file()
        }
        require_marker(data_dir)
        if FileIdentity.of(data_dir.stat()) != began_in:
            raise StoreUnavailable(f"{data_dir} was replaced during the backup, which is not complete")
        manifest = {"format": FORMAT, "made_at": now, "schema_version": version, "files": files}
        write_private(target / MANIFEST, json.dumps(manifest, indent=2) + "\n")
    return BackedUp({name: int(facts["bytes"]) for name, facts in files.items()})


def _copy_edge(data_dir: Path, target: Path) -> list[str]:
    """Copies everything but the ledger, in the place of an earlier copy. Returns the names of spooled mails."""
    (target / LEDGER).unlink(missing_ok=True)
    for name in SMALL:
        if (data_dir / name).is_file():
            write_private(target / name, (data_dir / name).read_text())
    for folder in ((target / JOURNAL).parent, target / SPOOL):
        if folder.exists():
            shutil.rmtree(folder)
    _copy_journal(data_dir, target)
    return _copy_spool(data_dir, target)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _copy_journal(data_dir: Path, target: Path) -> None:
    journal = _open_journal(data_dir)
    if journal is None:
        return
    folder = (target / JOURNAL).parent
    folder.mkdir(mode=0o700)
    with closing(journal):
        journal.copy(str(folder), compact=True)
    _make_private_and_durable(target / JOURNAL)


def _open_journal(data_dir: Path) -> Any:
    """Opens the journal; None if there is none. Its directory has another name while a new one takes its place."""
    current, new, old = (data_dir / name for name in ("journal", "journal.next", "journal.old"))
    while True:
        for folder in (current, new) if old.exists() else (current,):
            if (folder / "data.mdb").is_file():
                try:
                    return lmdb.open(str(folder), readonly=True, create=False)
                except lmdb.Error:
                    if (folder / "data.mdb").is_file():
                        raise
        if not old.exists() and not (current / "data.mdb").is_file():
            return None


def _copy_spool(data_dir: Path, target: Path) -> list[str]:
    """Returns the names of the files, from the data directory on."""
    if not (data_dir / SPOOL).is_dir():
        return []
    (target / SPOOL).mkdir(mode=0o700)
    names = [f"{SPOOL}/{path.name}" for path in sorted((data_dir / SPOOL).iterdir())]
    copied = []
    for name in names:
        if SPOOLED.fullmatch(name):
            with suppress(FileNotFoundError):  # recorded meanwhile
                copy_durably(data_dir / name, target / name)
                copied.append(name)
    return copied


def _copy_ledger(data_dir: Path, target: Path) -> int | None:
    """Returns the version of the schema, or None if the ledger is elsewhere."""
    if not (data_dir / LEDGER).is_file():
        if not any((data_dir / name).exists() for name in (ELSEWHERE_FILE, MOVED_FILE)):
            raise StoreUnavailable(f"{data_dir} has no {LEDGER}: it was removed, or the service has never been ready")
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


def facts(path: Path) -> dict[str, int | str]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": path.stat().st_size, "sha256": digest}


def copy_durably(source: Path, target: Path) -> None:
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
def failing(what: str) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error, lmdb.Error) as exc:
        raise StoreUnavailable(f"{what}: {exc}") from exc


def wrong(field: str, problem: str) -> InvalidInput:
    return InvalidInput(problem, [(field, problem)])

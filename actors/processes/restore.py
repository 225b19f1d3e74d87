"""Restore of a backup into a new data directory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from actors.installation.erasure_file import FILE as ERASURES
from actors.installation.erasure_file import ErasureLine, add_erasures, read_erasures
from actors.ledger.factory import ELSEWHERE, ELSEWHERE_FILE
from actors.ledger.sqlite.schema import SCHEMA_VERSION
from actors.processes.backup import (
    FORMAT,
    JOURNAL,
    LEDGER,
    MANIFEST,
    SMALL,
    SPOOLED,
    BackedUp,
    copy_durably,
    facts,
    failing,
    wrong,
)
from actors.settings.data_dir import DataDir, write_private
from actors.settings.data_dir_marker import MARKER_FILE
from domain.errors import Conflict, StoreError

#: Contents of a new data directory.
_NEW: Final = frozenset({"lock", "lost+found"})


def restore(source: Path, data_dir: Path, erasures: Path | None = None) -> BackedUp:
    """Restores a backup to a new or empty data directory, after checking every byte of it.

    `erasures`: the file of erasures since the backup. The service repeats them when it starts, before it delivers
    anything.

    Raises:
        InvalidInput: `source` is not a complete backup, or it is damaged, or the file of erasures is; nothing was
            written.
        StoreError: another version of this program made the backup; nothing was written.
        Conflict: the data directory is in use, or not empty.
        StoreUnavailable: a file cannot be read or written.
    """
    sizes = _checked(source)
    lines = [] if erasures is None else _lines(erasures)
    with DataDir.open(data_dir), failing(f"{source} cannot be restored to {data_dir}"):
        if taken := sorted(entry.name for entry in data_dir.iterdir() if entry.name not in _NEW):
            raise Conflict(f"{data_dir} contains {taken[0]} already: name a new directory with --data-dir")
        if LEDGER not in sizes:
            write_private(data_dir / ELSEWHERE_FILE, ELSEWHERE)
        for name in sorted(sizes, key=_restore_order):
            if name == MARKER_FILE and lines:
                add_erasures(data_dir / ERASURES, lines)
            copy_durably(source / name, data_dir / name)
    return BackedUp(sizes)


def _restore_order(name: str) -> int:
    return SMALL.index(name) if name in SMALL else -1


def _lines(path: Path) -> list[ErasureLine]:
    if not path.is_file():
        raise wrong("erasures", f"{path} does not exist")
    found = read_erasures(path)
    if found.unreadable:
        raise wrong("erasures", f"{path} cannot be read in line {found.unreadable[0]}: repair or remove that line")
    return list(found.lines.values())


def _checked(source: Path) -> dict[str, int]:
    """Checks that a backup is complete. Returns the sizes of its files."""
    try:
        manifest = json.loads((source / MANIFEST).read_text())
        files, form, version = dict(manifest["files"]), manifest["format"], manifest["schema_version"]
        expected = {str(name): (int(found["bytes"]), str(found["sha256"])) for name, found in files.items()}
    except OSError as exc:
        raise wrong("source", f"{source} is not a complete backup: {MANIFEST} cannot be read ({exc.strerror})") from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise wrong("source", f"{source / MANIFEST} is damaged: use an older backup") from exc
    if form in {1, 2}:
        raise StoreError(f"{source} was made by an unreleased version, from before 0.2.0, and cannot be restored")
    if form != FORMAT or (version or 0) > SCHEMA_VERSION:
        raise StoreError(f"{source} was made by a newer program: restore it with that program")
    if strange := {name for name in expected.keys() - {*SMALL, JOURNAL, LEDGER} if not SPOOLED.fullmatch(name)}:
        raise wrong("source", f"{source / MANIFEST} names {min(strange)}, which is not part of a backup")
    for name, (size, digest) in expected.items():
        with failing(f"{source / name} cannot be read"):
            found = facts(source / name)
        if (found["bytes"], found["sha256"]) != (size, digest):
            raise wrong("source", f"{source / name} is damaged: use an older backup")
    return {name: size for name, (size, _) in expected.items()}

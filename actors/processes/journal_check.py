"""Check before `serve` listens: whether the front end will be able to open the journal in the data directory.

It opens the files without LMDB, and changes nothing. What it cannot see, such as a damaged journal, is for the front
end, which moves a corrupt one aside.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

from domain.errors import StoreUnavailable

#: Errors that only an operator can end.
_LASTING: Final = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ELOOP}


class JournalNotOpen(StoreUnavailable):
    """The journal's files belong to another user, or their permissions or their file system forbid to write them."""


def is_lasting(problem: StoreUnavailable) -> bool:
    """Whether only an operator can end this problem with the data directory: its owner, its permissions, its place."""
    if isinstance(problem, JournalNotOpen):
        return True
    return isinstance(problem.__cause__, OSError) and problem.__cause__.errno in _LASTING


def check_journal(data_dir: Path) -> None:
    """Checks that this process may read and write the journal, its lock and its spool.

    Raises:
        JournalNotOpen: it may not. No restart changes that.
    """
    folder = data_dir / "journal"
    _check_file(data_dir / "journal.lock")
    for directory in (folder, data_dir / "spool"):
        _check_directory(directory)
    for name in ("data.mdb", "lock.mdb"):
        _check_file(folder / name)


def _check_file(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError as exc:
        _refuse(path, exc)


def _check_directory(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        if not os.access(path, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as exc:
        _refuse(path, exc)


def _refuse(path: Path, exc: OSError) -> None:
    """Raises `JournalNotOpen`, unless the file does not exist yet or its disk is broken, which may pass."""
    if exc.errno not in _LASTING:
        return
    problem = f"the journal cannot be opened: {path}: {exc.strerror}"
    try:
        owner = path.stat().st_uid
    except OSError:
        owner = os.geteuid()
    if owner != os.geteuid():
        problem += f"; it belongs to user {owner}, and this is user {os.geteuid()}"
    advice = "make the service's user the owner of everything in the data directory, or start it as the owner"
    raise JournalNotOpen(f"{problem}: {advice}") from exc

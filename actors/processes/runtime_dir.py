"""A service's directory in the system's temporary one (`data_dir.short_dir`): whose it is, and what others left."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from actors.processes.ray_head import temp_dirs_in_use
from actors.settings.data_dir import make_own
from domain.errors import Conflict

log = logging.getLogger(__name__)

#: Whoever removes a leftover holds its lock for about so long at most.
TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.02
_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def held(path: Path, timeout_s: float = TIMEOUT_S) -> Iterator[None]:
    """Makes the directory and locks it, as what cleans temporary directories respects; removes it again if it is empty.

    The lock is this process's alone, and ends with it however it ends.

    Raises:
        Conflict: another process holds it, and goes on to.
        StoreUnavailable: what is there belongs to somebody else.
    """
    descriptor = _taken(path, time.monotonic() + timeout_s)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.rmdir()
        os.close(descriptor)


def remove_leftovers(own: Path) -> None:
    """Removes the directories beside `own` of this user's services that were killed and not started again.

    A directory is left alone when it is locked, when processes of its Ray are running, or when that cannot be found out
    (no Linux). Whatever cannot be removed stays.
    """
    in_use = temp_dirs_in_use()
    if in_use is None:
        return
    name = re.compile(rf"fl-{os.getuid()}-[0-9a-f]{{12}}")
    for path in own.parent.glob(f"fl-{os.getuid()}-*"):
        if path != own and name.fullmatch(path.name) and not any(path in place.parents for place in in_use):
            with contextlib.suppress(OSError):
                _remove_unlocked(path)


def _taken(path: Path, deadline_s: float) -> int:
    while True:
        with contextlib.suppress(FileNotFoundError):  # removed as a leftover between two steps
            make_own(path)
            descriptor = os.open(path, _OPEN)
            if _try_lock(descriptor) and _is_at(descriptor, path):
                return descriptor
            os.close(descriptor)
        if time.monotonic() > deadline_s:
            raise Conflict(f"{path} is in use by another service: set TMPDIR to another directory")
        time.sleep(_POLL_S)


def _remove_unlocked(path: Path) -> None:
    descriptor = os.open(path, _OPEN)
    try:
        is_ours = os.fstat(descriptor).st_uid == os.getuid()
        # Whoever has the lock of what is at the path is the only one to remove it.
        if is_ours and _try_lock(descriptor) and _is_at(descriptor, path):
            shutil.rmtree(path, ignore_errors=True)
            log.info("removed what a killed service had left", extra={"action": "leftover_removed", "path": path})
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open directory is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False

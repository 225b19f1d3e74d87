"""Runtime directory of a service (`data_dir.runtime_dir_path`): its lock, and the removal of abandoned ones."""

from __future__ import annotations

import contextlib
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
from actors.settings.data_dir import make_private_dir, try_lock
from domain.errors import Conflict, StoreUnavailable

log = logging.getLogger(__name__)

#: A process that removes an abandoned directory holds its lock for less than this many seconds.
TIMEOUT_S: Final = 5.0
_POLL_S: Final = 0.02
_OPEN: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def locked(path: Path, timeout_s: float = TIMEOUT_S) -> Iterator[None]:
    """Creates the directory and locks it; tools that clean temporary directories respect the lock.

    Removes the directory at the end if it is empty. The lock belongs to this process only, and ends with it.

    Raises:
        Conflict: another process keeps the lock.
        StoreUnavailable: the path belongs to another user.
    """
    descriptor = _taken(path, time.monotonic() + timeout_s)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.rmdir()
        os.close(descriptor)


def remove_leftovers(own: Path) -> None:
    """Removes the runtime directories next to `own` that killed services of this user left behind.

    Keeps a directory that is locked, or whose Ray has running processes. Removes nothing on systems other than Linux,
    where this cannot be found out. Ignores errors.
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
        with contextlib.suppress(FileNotFoundError):  # another service removed it between two steps
            try:
                make_private_dir(path)
                descriptor = os.open(path, _OPEN)
            except FileNotFoundError:
                raise
            except OSError as exc:
                problem = f"{path} cannot be used: {exc.strerror}; set TMPDIR to another directory"
                raise StoreUnavailable(problem) from exc
            if try_lock(descriptor) and _is_at(descriptor, path):
                return descriptor
            os.close(descriptor)
        if time.monotonic() > deadline_s:
            raise Conflict(f"{path} is in use by another service: set TMPDIR to another directory")
        time.sleep(_POLL_S)


def _remove_unlocked(path: Path) -> None:
    descriptor = os.open(path, _OPEN)
    try:
        is_ours = os.fstat(descriptor).st_uid == os.getuid()
        # Only the holder of the lock on the directory at this path may remove it.
        if is_ours and try_lock(descriptor) and _is_at(descriptor, path):
            shutil.rmtree(path, ignore_errors=True)
            log.info(
                "removed the runtime directory of a killed service", extra={"action": "leftover_removed", "path": path}
            )
    finally:
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether the open directory is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False

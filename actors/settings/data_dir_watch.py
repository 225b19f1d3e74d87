"""Watch on a data directory: notices when it is deleted, moved or replaced while a service uses it.

The directory is the right one as long as the file `lock` at its path is the one that `serve` has locked. `serve` and
the front end keep that file open, so that no new file gets its inode.

| what happens to the directory | what `problem` compares | afterwards |
|---|---|---|
| deleted, or all that is in it | there is no such file | until the service is stopped |
| deleted and created again, within any time | another inode | the same |
| moved away, alone or with another one in its place | no such file, or another inode | until it is moved back |
| another file system mounted over it | another device, or no such file | until it is unmounted |
| its path can no longer be read | the error | until it can be read |

While there is a problem, no process of the service creates, writes or removes anything by the path: front end, gateway
and Ray are not restarted, and the ledger's file is not opened again. What is open stays in use: hits are answered, kept
in the open journal, and forwarded as long as the processes behind it live and have the ledger open. Everything else
that asks for durability is refused.
"""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path
from typing import Final, NamedTuple, Self

from domain.errors import DataDirLost, StoreUnavailable

log = logging.getLogger(__name__)

LOCK_FILE: Final = "lock"
#: Seconds between checks.
INTERVAL_S: Final = 1.0


class FileIdentity(NamedTuple):
    """The identity of a file as long as a process has it open."""

    device: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> Self:
        return cls(found.st_dev, found.st_ino)

    @classmethod
    def read(cls, text: str) -> Self:
        """The identity from its text. Raises `ValueError`."""
        device, _, inode = text.partition(":")
        return cls(int(device), int(inode))

    def __str__(self) -> str:
        return f"{self.device}:{self.inode}"


class DataDirWatch:
    """The data directory at a path, compared with the one that the service has locked."""

    def __init__(self, path: Path, lock: FileIdentity | None) -> None:
        """`lock`: the service's lock file; None: the path is not compared with anything."""
        self._path = path
        self._lock = lock
        self._problem: str | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def problem(self) -> str | None:
        """The result of the latest check: why the directory is not the right one, in one sentence, or None."""
        return self._problem

    def check(self) -> str | None:
        """Checks now, with one system call. Logs a change, and returns `problem`."""
        problem = self._found()
        if problem != self._problem:
            if problem is None:
                log.warning("the data directory is back", extra={"action": "data_dir_back", "path": self._path})
            else:
                log.critical("the data directory is lost", extra={"action": "data_dir_lost", "problem": problem})
            self._problem = problem
        return problem

    def require(self) -> None:
        """Checks now, before something is written to the directory or opened in it.

        Raises:
            DataDirLost: it is not the right directory.
        """
        if problem := self.check():
            raise DataDirLost(problem)

    def require_readable(self) -> None:
        """Checks now, before something is read from the directory.

        Raises:
            StoreUnavailable: it is not the right directory, or not now.
        """
        if problem := self.check():
            raise StoreUnavailable(problem)

    def start(self) -> None:
        """Starts to check at intervals. For an event loop."""
        if self._task is None:
            self._task = asyncio.create_task(self._check_always(), name="data directory")

    async def stop(self) -> None:
        """Stops checking."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
            self._task = None

    async def _check_always(self) -> None:
        while True:
            # A network file system may not answer; the event loop must not wait for it.
            await asyncio.to_thread(self.check)
            await asyncio.sleep(INTERVAL_S)

    def _found(self) -> str | None:
        if self._lock is None:
            return None
        try:
            found = (self._path / LOCK_FILE).stat()
        except (FileNotFoundError, NotADirectoryError):
            return f"the data directory {self._path} was deleted, moved or covered while the service ran"
        except OSError as exc:
            return f"the data directory {self._path} cannot be read any more: {exc.strerror or exc}"
        if FileIdentity.of(found) != self._lock:
            return f"another directory was put in the place of the data directory {self._path} while the service ran"
        return None


#: Finds no problem: for parts of the service that run without `serve`.
UNWATCHED: Final = DataDirWatch(Path(), None)

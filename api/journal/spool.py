"""Spool of large returned mails: one file per mail, next to the journal, whose records name the files."""

from __future__ import annotations

import logging
import os
import re
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Final

from domain.errors import JournalUnavailable

log = logging.getLogger(__name__)

#: The folder's name next to the journal.
FOLDER: Final = "spool"
#: Mails up to this size are in the journal itself.
MAX_INLINE_BYTES: Final = 64 * 1024
_NAME: Final = re.compile(r"[0-9a-f]{32}")


class Spool:
    """Files with mails. A file is durable when `write` returns, and has no meaning without its record in the journal.

    Blocks: call `write` and `read` in a thread.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """The files take at most `max_bytes` together."""
        self._folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._bytes = sum(path.stat().st_size for path in self._files())

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return self._bytes

    def write(self, name: str, mail: bytes) -> None:
        """Writes a mail to a new file.

        Raises:
            JournalUnavailable: the disk cannot be written, or the spool is full.
        """
        if not self._folder.exists():  # new, or moved aside with a corrupt journal
            self._add(-self._bytes)
        if self._bytes + len(mail) > self._max_bytes:
            raise JournalUnavailable("the spool of returned mails is full: check why they are not forwarded")
        path = self._folder / name
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            with path.open("xb") as file:
                file.write(mail)
                file.flush()
                os.fsync(file.fileno())
            _sync(self._folder)
        except OSError as exc:
            path.unlink(missing_ok=True)
            raise JournalUnavailable(f"the spool of returned mails cannot be written ({exc}): check the disk") from exc
        self._add(len(mail))

    def read(self, name: str) -> bytes | None:
        """The mail in a file; None if the file does not exist."""
        try:
            return (self._folder / name).read_bytes() if _NAME.fullmatch(name) else None
        except FileNotFoundError:
            return None

    def remove(self, name: str) -> None:
        """Removes a file whose record is gone. Never raises."""
        path = self._folder / name
        try:
            size = path.stat().st_size
            path.unlink()
        except OSError:
            return
        self._add(-size)

    def remove_all_except(self, names: Collection[str]) -> None:
        """Removes the files without a record: their mails were not answered with 202, or are in the ledger."""
        for path in self._files():
            if path.name not in names:
                log.info("removed a spooled mail without a record", extra={"action": "spool_removed"})
                self.remove(path.name)

    def names(self) -> list[str]:
        """The names of all files."""
        return [path.name for path in self._files()]

    def _add(self, size: int) -> None:
        with self._lock:
            self._bytes += size

    def _files(self) -> list[Path]:
        try:
            return [path for path in self._folder.iterdir() if _NAME.fullmatch(path.name)]
        except FileNotFoundError:
            return []


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

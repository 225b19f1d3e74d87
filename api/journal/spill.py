"""Spill of hits that a stop could not write to the journal: files on another disk, which the next start reads.

A file begins with a line that says what it is. Each hit follows with its length and CRC-32, so that all hits before a
damaged part can be read. Only the owner can read the files. Their names contain the fingerprint of the installation, so
that services of several installations may share a directory.
"""

from __future__ import annotations

import contextlib
import logging
import os
import struct
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from actors.settings.data_dir import make_durable

log = logging.getLogger(__name__)

_HEADER: Final = b"feedback-loops spill 1\n"
_DAMAGED: Final = ".damaged"
_RECORD: Final = struct.Struct(">II")
#: Longer than any hit: what claims more is damaged.
_MAX_BYTES: Final = 16 << 20


class Spill:
    """The spilled hits of one installation in a directory. Blocks."""

    def __init__(self, folder: Path, installation: str) -> None:
        self._folder = folder
        self._prefix = f"feedback-loops-{installation}-"

    def write(self, hits: Iterable[bytes]) -> int:
        """Writes hits to a new file. Returns how many of the first ones are durable there. Never raises.

        The directory must exist: it may be the mount point of another disk, which is not there.
        """
        path = self._folder / f"{self._prefix}{time.time_ns()}.spill"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "r+b", buffering=0) as file:
                written, problem = _written(file, hits)
                os.fsync(file.fileno())
            make_durable(self._folder)
        except OSError as exc:
            written, problem = 0, exc
        if problem is not None:
            log.error("hits cannot be spilled", extra={"action": "spill_failed", "path": path, "problem": str(problem)})
        if written:
            log.warning("hits were spilled", extra={"action": "hits_spilled", "hits": written, "path": path})
        else:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        return written

    def files(self) -> list[Path]:
        """All files, oldest first. Raises `OSError`."""
        found = (path for path in self._folder.iterdir() if path.name.startswith(self._prefix))
        return sorted(path for path in found if path.suffix == ".spill")

    def damaged(self) -> list[Path]:
        """Files that were set aside. Raises `OSError`."""
        found = (path for path in self._folder.iterdir() if path.name.startswith(self._prefix))
        return sorted(path for path in found if path.suffix == _DAMAGED)

    def remove(self, path: Path) -> None:
        """Removes a file whose hits are in the journal. Raises `OSError`."""
        path.unlink(missing_ok=True)
        make_durable(self._folder)

    def set_aside(self, path: Path) -> None:
        """Renames a file that is damaged, so that it is not read again. Raises `OSError`."""
        path.rename(path.with_suffix(_DAMAGED))
        make_durable(self._folder)


def made_ns(path: Path) -> int:
    """When a spilled file was made (Unix time, nanoseconds); 0 if its name does not say so."""
    text = path.stem.rpartition("-")[2]
    return int(text) if text.isascii() and text.isdigit() else 0


def read_spilled(path: Path) -> Iterator[bytes]:
    """The hits in a file, up to where it is damaged or cut off.

    Raises:
        ValueError: it is damaged there.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        if file.read(len(_HEADER)) != _HEADER:
            raise ValueError("it does not begin like a spill")
        while head := file.read(_RECORD.size):
            size, checksum = _RECORD.unpack(head) if len(head) == _RECORD.size else (_MAX_BYTES + 1, 0)
            hit = file.read(size) if size <= _MAX_BYTES else b""
            if len(hit) != size or zlib.crc32(hit) != checksum:
                raise ValueError("it is cut off or damaged")
            yield hit


def _written(file: BinaryIO, hits: Iterable[bytes]) -> tuple[int, OSError | None]:
    """Writes hits until the disk is full. Returns how many are complete, and why it ended early."""
    written = 0
    end = file.write(_HEADER)
    if end != len(_HEADER):
        return 0, OSError("no space left")
    for hit in hits:
        record = _RECORD.pack(len(hit), zlib.crc32(hit)) + hit
        try:
            is_complete = file.write(record) == len(record)
        except OSError as exc:
            file.truncate(end)
            return written, exc
        if not is_complete:
            file.truncate(end)
            return written, OSError("no space left")
        end += len(record)
        written += 1
    return written, None

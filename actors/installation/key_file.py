"""Key file of a data directory: its copy of the key ring, for starts without the store.

The keys in it are wrapped: without the master key they are useless.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final
from uuid import uuid4

import msgspec

from actors.settings.data_dir import write_private
from actors.settings.data_dir_watch import UNWATCHED, DataDirWatch
from domain.errors import StoreUnavailable
from domain.key_ring import KeyRing

FILE: Final = "keys.json"

_read_file: Final = msgspec.json.Decoder(tuple[str, KeyRing | None]).decode
_read_ring: Final = msgspec.json.Decoder(KeyRing).decode


def ring_text(ring: KeyRing) -> str:
    """The encoding of a ring in the store."""
    return msgspec.json.encode(ring).decode()


def ring_of(text: str) -> KeyRing:
    """The ring that `ring_text` encoded.

    Raises:
        StoreUnavailable: the text is damaged.
    """
    try:
        return _read_ring(text)
    except msgspec.MsgspecError as exc:
        raise StoreUnavailable(f"the key ring in the store cannot be read ({exc})") from exc


class KeyFile:
    """The key file: the ring, and the random id of the front ends that use this data directory."""

    def __init__(self, data_dir: Path, watch: DataDirWatch = UNWATCHED) -> None:
        self._path = data_dir / FILE
        self._watch = watch

    def read(self) -> tuple[str, KeyRing | None]:
        """The front end's id and the ring; a new id and None if there is no file.

        Raises:
            StoreUnavailable: the file is damaged or cannot be read, or the directory was deleted or replaced.
        """
        self._watch.require_readable()
        try:
            return _read_file(self._path.read_bytes())
        except FileNotFoundError:
            return uuid4().hex, None
        except (OSError, msgspec.MsgspecError) as exc:
            raise StoreUnavailable(f"{self._path} cannot be read ({exc}): restore it from a backup") from exc

    def write(self, front_end: str, ring: KeyRing | None) -> None:
        """Writes the file; durable when this returns.

        Raises:
            DataDirLost: the directory was deleted or replaced.
            StoreUnavailable: it cannot be written.
        """
        self._watch.require()
        try:
            write_private(self._path, msgspec.json.format(msgspec.json.encode((front_end, ring))).decode() + "\n")
        except OSError as exc:
            raise StoreUnavailable(f"{self._path} cannot be written: {exc}") from exc

    @property
    def version(self) -> object:
        """Differs after each write; None while there is no file."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

"""Source of the master key: a variable, a mounted file, or a file in the data directory.

Files are read each time, so a key that is replaced while the service runs takes effect without a restart. A key that
was given in another way is never written to disk.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple, Self

from actors.installation.wrapping import KEY_BYTES, RandomBytes, master_fingerprint
from actors.settings import Settings
from actors.settings.data_dir import make_durable, write_private
from actors.settings.parsers import key
from domain.errors import StoreUnavailable

#: In the data directory, unless a key is given.
FILE: Final = "master.key"
NEXT_FILE: Final = "master.key.next"


class MasterKeySource(NamedTuple):
    """Where the master key and the next one are read from."""

    #: The key itself, from the environment; empty: it is in `file`.
    given: bytes
    file: Path
    next_file: Path
    #: Whether both files are ours, in the data directory, rather than mounted.
    is_ours: bool

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The source that the settings name."""
        is_ours = not settings.master_key and settings.master_key_file is None
        return cls(
            given=settings.master_key,
            file=settings.master_key_file or settings.data_dir / FILE,
            next_file=settings.next_master_key_file or settings.data_dir / NEXT_FILE,
            is_ours=is_ours and settings.next_master_key_file is None,
        )

    def current(self) -> bytes | None:
        """The master key; None: there is none yet.

        Raises:
            StoreUnavailable: its file is damaged or cannot be read.
        """
        return self.given or _read(self.file)

    def next(self) -> bytes | None:
        """The master key that is to replace the current one, if there is one. Raises `StoreUnavailable`."""
        return _read(self.next_file)

    def all(self) -> list[bytes]:
        """Both keys, as far as they exist. Raises `StoreUnavailable`."""
        return [found for found in (self.current(), self.next()) if found]

    def create(self, random_bytes: RandomBytes) -> bytes:
        """The master key of a new installation. Creates one in the data directory if none is given.

        Raises:
            StoreUnavailable: a key file was named, but does not exist.
        """
        return self.current() or self._create(self.file, random_bytes)

    def create_next(self, random_bytes: RandomBytes) -> bytes:
        """The next master key. Creates one in the data directory, unless it exists or keys are given in another way.

        Raises:
            StoreUnavailable: there is none, and it is not ours to create.
        """
        return self.next() or self._create(self.next_file, random_bytes)

    def promote(self, next_master: str) -> None:
        """Makes the next master key the current one, if this is its fingerprint and both files are ours."""
        found = self.next() if self.is_ours else None
        if found is not None and master_fingerprint(found) == next_master:
            self.next_file.replace(self.file)
            make_durable(self.file.parent)

    def _create(self, path: Path, random_bytes: RandomBytes) -> bytes:
        if not self.is_ours:
            raise StoreUnavailable(f"{path} does not exist: put the master key there, 32 bytes in hexadecimal")
        made = random_bytes(KEY_BYTES)
        write_private(path, made.hex() + "\n")
        return made


def _read(path: Path) -> bytes | None:
    try:
        return key(path.read_text().strip())
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as exc:
        raise StoreUnavailable(f"{path} cannot be read: {exc}") from exc
    except ValueError:
        raise StoreUnavailable(f"{path} is damaged: restore it from a backup") from None

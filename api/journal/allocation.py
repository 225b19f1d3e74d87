"""Allocation of the journal's file ahead of its growth, so that a full disk leaves room for hits.

The file is allocated beyond its used part, in this order:

    | used pages, and free ones between them | for hits while the disk is full | for hits in memory at a stop |
    |                                        |<------------ `hits` ----------->|<--------- `memory` --------->|
                                        used ^                           limit ^                          end ^

LMDB reuses free pages before it takes new ones, and takes new ones from left to right, up to the size of its map. So
commits, whose map ends at `limit`, write only blocks that the file has, and never those for the stop. While the disk
has room, `end` is moved ahead of `used`.
"""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from api.journal.preallocation import CannotPreallocate, NoRoom, check_file_system, preallocate

log = logging.getLogger(__name__)

#: Pages that one commit may take from the end at most: twice its hits and reports, and pages that it changes.
COMMIT_BYTES: Final = 24 << 20
#: Bytes by which the allocation grows.
STEP_BYTES: Final = 16 << 20
#: Pages that a commit of removals may take beyond the limit, until those that it frees can be used.
REMOVAL_BYTES: Final = 4 << 20
#: Seconds between attempts while the disk has no room.
RETRY_S: Final = 1.0
#: The size of LMDB's table of 126 readers.
_LOCK_BYTES: Final = 8192
#: Limits are multiples of this, which is a multiple of every page size.
_UNIT: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Reserve:
    """Bytes to allocate beyond the used part of the file."""

    #: For hits while the disk is full. 0: nothing is allocated ahead.
    hits: int = 0
    #: For the hits in memory at a stop.
    memory: int = 0

    @classmethod
    def of(cls, hits: int, kept_bytes: int) -> Reserve:
        """The reserve for `hits` bytes, and for `kept_bytes` in memory.

        An entry takes at most twice its size, if it is just too long for half a page or for its number of pages; the
        rest is for the pages that lead to them.
        """
        return cls(hits=hits, memory=2 * kept_bytes + (8 << 20)) if hits else cls()

    @property
    def total(self) -> int:
        return self.hits + self.memory


class ReserveState(NamedTuple):
    """The reserve for hits at one moment."""

    #: Bytes that hits may take at least while the disk is full; free pages come on top. 0: there is no reserve.
    left_bytes: int
    #: Whether the disk is full, so that hits go into it.
    is_used: bool


def allocate_lock_file(path: Path) -> None:
    """Allocates LMDB's lock file. It is mapped, so writing to a hole in it on a full disk would end the process.

    Raises:
        OSError: it cannot be opened, or there is no room.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        preallocate(fd, 0, _LOCK_BYTES)
    except NoRoom as exc:
        raise OSError(f"{path} cannot be written: {exc}") from exc
    except CannotPreallocate:
        return
    finally:
        os.close(fd)


class Allocation:
    """The allocation of one open file. Its owner says how much is used: the pages up to the last one ever taken."""

    def __init__(self, file: Path, used: int, max_bytes: int, reserve: Reserve) -> None:
        """Allocates what the disk has room for. The file never grows beyond `max_bytes`, with the reserve.

        Raises:
            OSError: the file cannot be opened, or the disk does not work.
        """
        self.max_bytes: Final = max_bytes + reserve.total
        self._reserve = reserve
        self._fd: int | None = None
        self._end = 0
        self._used = used
        #: Bytes to keep allocated ahead: `_wanted`, or what a small disk has room for.
        self._goal = 0
        self._wanted = reserve.total + COMMIT_BYTES
        self._next_s = 0.0
        #: The bytes of the file that commits may use.
        self.limit = self.max_bytes
        #: Whether the disk has no room, so that what is left of the reserve is for hits.
        self.is_disk_full = False
        #: Why nothing can be allocated ahead, one clause, or None.
        self.problem: str | None = None
        if not reserve.hits:
            return
        try:
            check_file_system(file.parent)
            self._fd = os.open(file, os.O_RDWR | os.O_CLOEXEC)
            self._begin(self._fd, used)
        except CannotPreallocate as exc:
            self._give_up(exc)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Closes the file, which keeps what is allocated."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    @property
    def state(self) -> ReserveState:
        """The reserve, as of the last `grow` or `note_used`. Any thread may ask."""
        has_reserve = self._fd is not None
        return ReserveState(max(0, self.limit - self._used) if has_reserve else 0, self.is_disk_full)

    def note_used(self, used: int) -> None:
        """Notes how much a commit has left in use."""
        self._used = used

    @property
    def can_move(self) -> bool:
        """Whether another file may take over, for which blocks are allocated before those of this one are free.

        On a full disk, other programs would get these.
        """
        return self._fd is None or _free(self._fd) >= 2 * COMMIT_BYTES

    def grow(self, used: int) -> None:
        """Moves the end ahead of what is used, if it is too near and the disk has room.

        On a small disk, no more is allocated ahead than is left for others, like the ledger.

        Raises:
            OSError: the disk does not work.
        """
        self._used = used
        if self._fd is None or self._end >= self.max_bytes:
            return
        ahead, now_s = self._end - used, time.monotonic()
        is_whole = ahead >= self._goal and self._goal == self._wanted
        if is_whole or (now_s < self._next_s and (self.is_disk_full or ahead >= self._goal)):
            return
        self._next_s = now_s + RETRY_S
        half = (ahead + _free(self._fd)) // 2
        self._goal = min(self._wanted, max(self._goal, half))
        step = STEP_BYTES if self._goal == self._wanted else 0
        try:
            is_disk_full = not any(self._extended_to(self._fd, used + self._goal + extra) for extra in (step, 0))
        except CannotPreallocate as exc:
            self._give_up(exc)
            return
        # With less room than wanted, hits get their share of it: they are safer on the disk than in memory.
        share = (self._end - used) * self._reserve.hits // self._reserve.total
        if not is_disk_full:
            self.limit = max(self.limit, self._end - self._reserve.memory, _down(used + share))
        self._note(is_disk_full=is_disk_full)

    def _begin(self, fd: int, used: int) -> None:
        """Fills the holes that an LMDB file may have, and allocates the rest."""
        size = max(os.fstat(fd).st_size, used)
        self._end = size if self._extended_to(fd, size) else used
        ahead = self._end - used
        self._goal = min(ahead, self._wanted)
        share = ahead * self._reserve.hits // self._reserve.total
        self.limit = max(self._end - self._reserve.memory, _down(used + share))
        self.grow(used)

    def _extended_to(self, fd: int, end: int) -> bool:
        """Whether the file has all blocks up to `end`. Allocates those that are missing."""
        end = min(_up(end), self.max_bytes)
        if end <= self._end:
            return True
        # A file system may take what is left before it fails, and the ledger needs it, too.
        if self._end and end - self._end > _free(fd):
            return False
        try:
            preallocate(fd, self._end, end - self._end)
        except NoRoom:
            return False
        self._end = end
        return True

    def _give_up(self, exc: CannotPreallocate) -> None:
        self.close()
        self.problem = str(exc)
        self.limit = self.max_bytes
        log.warning(
            "the journal has no reserve for a full disk: put the data directory on ext4 or XFS",
            extra={"action": "journal_without_reserve", "problem": self.problem},
        )

    def _note(self, *, is_disk_full: bool) -> None:
        if is_disk_full == self.is_disk_full:
            return
        self.is_disk_full = is_disk_full
        if is_disk_full:
            facts = {"left_bytes": self.state.left_bytes, "advice": "free disk space"}
            log.error(
                "the disk is full: hits go into the journal's reserve, and reports are refused",
                extra={"action": "journal_reserve_used", **facts},
            )
        else:
            log.warning("the disk has room for the journal's reserve again", extra={"action": "journal_reserve_whole"})


def _free(fd: int) -> int:
    """Free bytes of the file system."""
    found = os.fstatvfs(fd)
    return found.f_bavail * found.f_frsize


def _down(size: int) -> int:
    return size - size % _UNIT


def _up(size: int) -> int:
    return size + -size % _UNIT

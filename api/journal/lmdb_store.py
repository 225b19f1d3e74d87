"""LMDB store of the journal: hits, reports, those set aside, and the next sequence number.

Synchronous. Call `write` from one thread only; `read` from any thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import lmdb

from actors.commands.intake import RETURNED_MAIL, spool_name
from actors.settings.data_dir_watch import UNWATCHED, DataDirWatch
from api.journal import file_swap
from api.journal.allocation import REMOVAL_BYTES, Reserve, ReserveState
from api.journal.lmdb_file import JournalFile, Removals
from api.journal.owner_lock import lock_journal
from api.journal.spool import FOLDER
from domain.errors import DataDirLost, StoreUnavailable

log = logging.getLogger(__name__)

#: Seconds that a reader waits at most.
_READ_S: Final = 0.2
#: Errors of LMDB for files that are corrupt or not LMDB files.
_CORRUPTION: Final = (lmdb.CorruptedError, lmdb.InvalidError, lmdb.PageNotFoundError, lmdb.VersionMismatchError)


class WriteResult(NamedTuple):
    """Result of one write. Returned rather than raised, because a full disk is an expected case."""

    are_hits_saved: bool
    are_removals_done: bool
    #: Hits in the journal now.
    entries: int
    #: One sentence, or None if everything was done.
    problem: str | None
    #: Why the reports were not saved although the rest was, in one sentence, or None.
    reports_problem: str | None = None


class LmdbStore:
    """Hits and reports on disk, in order of their numbers. What `write` reports as saved survives a power failure.

    They take at most `max_bytes`, and reports at most half of it. Beyond that, the file has a reserve, if one is given:
    `allocation` explains how its two parts are kept for hits on a full disk and for a last write.
    """

    def __init__(
        self, path: Path, max_bytes: int, watch: DataDirWatch = UNWATCHED, reserve: Reserve | None = None
    ) -> None:
        """Opens the journal at `path`. A corrupt journal is moved aside and replaced by a new one.

        `watch` decides whether it may be opened, now and again after an error.

        Raises:
            StoreUnavailable: another process has it open, or the directory cannot be made, read or written.
            DataDirLost: it is not the right directory.
        """
        watch.require()
        self._watch = watch
        self._path = path
        self._max_bytes = max_bytes
        self._reserve = reserve or Reserve()
        self._lock = threading.Lock()
        self._is_broken = False
        self._is_reopening = False
        self._owner_file: BinaryIO | None = None
        try:
            self._owner_file = lock_journal(path)
            file_swap.finish(path)
            self._open_or_replace()
        except (OSError, lmdb.Error) as exc:
            self._disown()
            problem = f"the journal {path} cannot be opened ({exc}); check the disk and the permissions"
            raise StoreUnavailable(problem) from exc

    @property
    def path(self) -> Path:
        return self._path

    @property
    def entries(self) -> int:
        with self._lock, self.file.env.begin() as txn:
            return self.file.count(txn)

    @property
    def reserve(self) -> ReserveState:
        """The reserve for hits, as of the last write. Waits for nothing."""
        return self.file.allocation.state

    def next_seq(self) -> int:
        """The number after the last one ever saved, starting at 1."""
        with self._lock, self.file.env.begin() as txn:
            return self.file.next_seq(txn)

    def read(self, after_seq: int, limit: int, max_bytes: int) -> list[tuple[int, bytes]]:
        """The first hits after `after_seq`: at most `limit`, and at most `max_bytes` unless the first is longer.

        Raises:
            StoreUnavailable: the files cannot be read; the next `write` repairs or replaces them.
        """
        # Readers must not wait for the disk, and the lock is held while damaged files are reopened. While a new file
        # takes the place of the old one, or is mapped with another size, it is held for microseconds of processor time.
        if self._is_reopening or not self._lock.acquire(timeout=_READ_S):
            raise StoreUnavailable("the journal is being reopened; try again")
        try:
            with self.file.env.begin() as txn:
                return self.file.first(txn, after_seq, limit, max_bytes)
        except lmdb.Error as exc:
            self._is_broken = True
            raise StoreUnavailable(f"the journal cannot be read ({exc}); check the disk") from exc
        finally:
            self._lock.release()

    def set_aside_hits(self) -> list[tuple[int, bytes]]:
        """Every hit that was set aside, with its number."""
        with self._lock, self.file.env.begin(db=self.file.poison) as txn:
            return [(int.from_bytes(key, "big"), hit) for key, hit in txn.cursor()]

    def spooled(self) -> set[str]:
        """The names of the spool files that records of the journal name. Call it where `write` is called.

        Raises:
            lmdb.Error: the journal cannot be read.
        """
        names = set()
        with self.file.env.begin(buffers=True) as txn:
            for db in (self.file.reports, self.file.poison):
                for _, entry in txn.cursor(db=db):
                    if entry[:2] == RETURNED_MAIL and (name := spool_name(bytes(entry))):
                        names.add(name)
        return names

    def write(
        self,
        next_seq: int,
        hits: Sequence[tuple[int, bytes]],
        removals: Removals,
        reports: Sequence[tuple[int, bytes]] = (),
        *,
        is_last: bool = False,
    ) -> WriteResult:
        """Removes and saves in one transaction with one fsync, which tests the disk even if there is nothing to write.

        The numbers of the entries increase from call to call and are below `next_seq`. If there is no room for them,
        the removals are still done. `is_last`: the service stops, so hits may take everything. Never raises.
        """
        try:
            if self._is_broken:
                self._watch.require()
                self._reopen()
            self.file.allocate()
            self._map(self.file.allocation.max_bytes if is_last else self.file.allocation.limit)
            return self._write(next_seq, hits, removals, reports, is_last=is_last)
        except lmdb.MapFullError:
            return self._remove_only(removals)
        except (OSError, lmdb.Error, DataDirLost) as exc:
            return self._failed(exc)
        except Exception as exc:
            log.exception("unexpected error while writing the journal", extra={"action": "journal_failed"})
            return self._failed(exc)

    def close(self) -> None:
        with self._lock:
            self.file.close()
        self._disown()

    def require_directory(self) -> None:
        """Checks that the data directory is the right one. Raises `DataDirLost`."""
        self._watch.require()

    def replace_file(self, file: JournalFile) -> None:
        """Continues with another open file, which has the same entries, and closes the former one. Readers go on.

        Call it where `write` is called, once the file is at `path`.
        """
        with self._lock:
            self.file, former = file, self.file
        # Readers hold the lock, so none uses the former file any more.
        former.close()

    def _disown(self) -> None:
        if self._owner_file is not None:
            self._owner_file.close()

    def _write(
        self,
        next_seq: int,
        hits: Sequence[tuple[int, bytes]],
        removals: Removals,
        reports: Sequence[tuple[int, bytes]],
        *,
        is_last: bool,
    ) -> WriteResult:
        file = self.file
        with file.env.begin(write=True) as txn:
            file.remove(txn, removals)
            has_room = (
                not (hits or reports) or file.used_bytes(txn, file.hits, file.reports) < self._max_bytes or is_last
            )
            reports_problem = self._reports_problem(txn, reports) if has_room and reports else None
            if has_room:
                file.put(txn, hits, () if reports_problem else reports)
            file.put_next_seq(txn, next_seq)
            entries = file.count(txn)
        file.note_used()
        return WriteResult(has_room, True, entries, None if has_room else self._full(), reports_problem)

    def _reports_problem(self, txn: Any, reports: Sequence[tuple[int, bytes]]) -> str | None:
        if self.file.allocation.is_disk_full:
            return "the disk is full, and the journal's reserve is for hits: free disk space"
        size = sum(len(report) for _, report in reports)
        if self.file.used_bytes(txn, self.file.reports) + size < self._max_bytes // 2:
            return None
        return "reports hold half of the journal: check why they are not forwarded, or raise the limit"

    def _map(self, size: int) -> None:
        with self._lock:  # no reader may use the former map
            self.file.map(size)

    def _remove_only(self, removals: Removals) -> WriteResult:
        allocation = self.file.allocation
        try:
            self._map(min(allocation.limit + REMOVAL_BYTES, allocation.max_bytes))
            with self.file.env.begin(write=True) as txn:
                self.file.remove(txn, removals)
        except lmdb.Error as exc:
            return self._failed(exc)
        return WriteResult(are_hits_saved=False, are_removals_done=True, entries=self.entries, problem=self._full())

    def _failed(self, exc: Exception) -> WriteResult:
        # After a failed fsync or a failed write of the meta page, the environment cannot be trusted: reopen it.
        self._is_broken = True
        problem = f"the journal cannot be written ({exc}): hits are kept in memory; check the disk's space and health"
        return WriteResult(are_hits_saved=False, are_removals_done=False, entries=0, problem=problem)

    def _full(self) -> str:
        if self.file.allocation.is_disk_full:
            return "the disk is full and the journal's reserve is used up: hits are kept in memory; free disk space"
        return (
            f"the journal has reached its limit of {self._max_bytes} bytes: hits are kept in memory; "
            "check why they are not forwarded, or raise the limit"
        )

    def open_file(self, path: Path) -> JournalFile:
        """Opens or creates a file that can become the journal's. Raises like `JournalFile`."""
        return JournalFile(path, self._max_bytes, self._reserve)

    def _open(self) -> None:
        self.file = self.open_file(self._path)
        self._is_broken = False

    def _reopen(self) -> None:
        """Reopens the environment. Sequence numbers continue, because the caller assigns them."""
        self._is_reopening = True
        try:
            with self._lock:
                self.file.close()
                self._open_or_replace()
        finally:
            self._is_reopening = False

    def _open_or_replace(self) -> None:
        try:
            self._open()
        except _CORRUPTION as exc:
            self._replace(exc)

    def _replace(self, exc: Exception) -> None:
        aside = self._path.with_name(f"{self._path.name}.corrupt-{time.time_ns()}")
        self._path.rename(aside)
        spool = self._path.with_name(FOLDER)
        if spool.exists():  # its files have no records any more
            spool.rename(aside.with_name(f"{FOLDER}{aside.name.removeprefix(self._path.name)}"))
        log.critical(
            "the journal is corrupt and was moved aside; import it with `feedback-loops journal import`",
            extra={"action": "journal_moved_aside", "path": str(aside), "error": str(exc)},
        )
        self._open()

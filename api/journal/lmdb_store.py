"""LMDB store of the journal: the hits, those set aside, and the next sequence number.

Synchronous. Call `write` from one thread only; `read` from any thread.
"""

from __future__ import annotations

import logging
import struct
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import lmdb

from api.journal.owner_lock import lock_journal
from domain.errors import StoreUnavailable

log = logging.getLogger(__name__)

_key = struct.Struct(">Q").pack
_SPARE_BYTES: Final = 8 << 20
_NEXT_SEQ: Final = b"next_seq"
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


class Removals(NamedTuple):
    """Hits to remove: ranges of sequence numbers (inclusive), and single hits to set aside."""

    ranges: list[tuple[int, int]]
    set_aside: list[tuple[int, bytes]]


class LmdbStore:
    """Hits on disk, in the order of their sequence numbers. Hits that `write` reports as saved survive a power failure.

    Hits take at most `max_bytes`. The map is more than twice as large, because deleting needs free pages too: LMDB
    copies the pages that it changes, so a full map could never be emptied.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        """Opens the journal at `path`. A corrupt journal is moved aside and replaced by a new one.

        Raises:
            StoreUnavailable: another process has it open, or the directory cannot be made, read or written.
        """
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._is_broken = False
        self._owner_file: BinaryIO | None = None
        try:
            self._owner_file = lock_journal(path)
            self._open_or_replace()
        except (OSError, lmdb.Error) as exc:
            self._disown()
            problem = f"the journal {path} cannot be opened ({exc}); check the disk and the permissions"
            raise StoreUnavailable(problem) from exc

    @property
    def entries(self) -> int:
        with self._lock, self._env.begin() as txn:
            return int(txn.stat(self._hits)["entries"])

    def next_seq(self) -> int:
        """The number after the last one ever saved, starting at 1."""
        with self._lock, self._env.begin() as txn:
            kept = txn.get(_NEXT_SEQ, db=self._meta)
            return int.from_bytes(kept, "big") if kept else 1

    def read(self, after_seq: int, limit: int, max_bytes: int) -> list[tuple[int, bytes]]:
        """The first hits after `after_seq`: at most `limit`, and at most `max_bytes` unless the first is longer.

        Raises:
            StoreUnavailable: the files cannot be read; the next `write` repairs or replaces them.
        """
        # Readers must not wait for the disk, and the lock is held while the files are reopened.
        if not self._lock.acquire(blocking=False):
            raise StoreUnavailable("the journal is being reopened; try again")
        try:
            with self._env.begin(db=self._hits) as txn:
                return first_hits(txn.cursor(), after_seq, limit, max_bytes)
        except lmdb.Error as exc:
            self._is_broken = True
            raise StoreUnavailable(f"the journal cannot be read ({exc}); check the disk") from exc
        finally:
            self._lock.release()

    def set_aside_hits(self) -> list[tuple[int, bytes]]:
        """Every hit that was set aside, with its number."""
        with self._lock, self._env.begin(db=self._poison) as txn:
            return [(int.from_bytes(key, "big"), hit) for key, hit in txn.cursor()]

    def write(self, next_seq: int, hits: Sequence[tuple[int, bytes]], removals: Removals) -> WriteResult:
        """Removes and saves in one transaction with one fsync, which tests the disk even if there is nothing to write.

        The numbers of the hits increase from call to call and are below `next_seq`. If there is no room for the hits,
        the removals are still done. Never raises.
        """
        try:
            if self._is_broken:
                self._reopen()
            return self._write(next_seq, hits, removals)
        except lmdb.MapFullError:
            return self._remove_only(removals)
        except (OSError, lmdb.Error) as exc:
            return self._failed(exc)
        except Exception as exc:
            log.exception("unexpected error while writing the journal", extra={"action": "journal_failed"})
            return self._failed(exc)

    def close(self) -> None:
        with self._lock:
            self._env.close()
        self._disown()

    def _disown(self) -> None:
        if self._owner_file is not None:
            self._owner_file.close()

    def _write(self, next_seq: int, hits: Sequence[tuple[int, bytes]], removals: Removals) -> WriteResult:
        with self._env.begin(write=True) as txn:
            self._remove(txn, removals)
            has_room = not hits or self._used_bytes(txn) < self._max_bytes
            if hits and has_room:
                self._put(txn, [(_key(seq), hit) for seq, hit in hits])
            txn.put(_NEXT_SEQ, _key(next_seq), db=self._meta)
            entries = int(txn.stat(self._hits)["entries"])
        return WriteResult(has_room, True, entries, None if has_room else self._full())

    def _put(self, txn: Any, items: list[tuple[bytes, bytes]]) -> None:
        _, added = txn.cursor(db=self._hits).putmulti(items, append=True)
        if added == len(items):
            return
        # A commit that was reported as failed did reach the disk, and appending skips existing keys.
        for key, hit in items:
            txn.put(key, hit, db=self._hits)

    def _remove(self, txn: Any, removals: Removals) -> None:
        cursor = txn.cursor(db=self._hits)
        for first, last in removals.ranges:
            found, end = cursor.set_range(_key(first)), _key(last)
            while found and cursor.key() <= end:
                cursor.delete()
                # After a delete the cursor stands on the next hit; past the last one its key is empty.
                found = bool(cursor.key())
        for seq, hit in removals.set_aside:
            txn.put(_key(seq), hit, db=self._poison)

    def _used_bytes(self, txn: Any) -> int:
        pages = 0
        for db in (self._hits, self._poison):
            stat = txn.stat(db)
            pages += stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return int(pages * stat["psize"])

    def _remove_only(self, removals: Removals) -> WriteResult:
        try:
            with self._env.begin(write=True) as txn:
                self._remove(txn, removals)
        except lmdb.Error as exc:
            return self._failed(exc)
        return WriteResult(are_hits_saved=False, are_removals_done=True, entries=self.entries, problem=self._full())

    def _failed(self, exc: Exception) -> WriteResult:
        # After a failed fsync or a failed write of the meta page, the environment cannot be trusted: reopen it.
        self._is_broken = True
        problem = f"the journal cannot be written ({exc}): hits are kept in memory; check the disk's space and health"
        return WriteResult(are_hits_saved=False, are_removals_done=False, entries=0, problem=problem)

    def _full(self) -> str:
        return (
            f"the journal has reached its limit of {self._max_bytes} bytes: hits are kept in memory; "
            "check why they are not forwarded, or raise the limit"
        )

    def _open(self) -> None:
        self._path.mkdir(mode=0o700, exist_ok=True)
        map_bytes = 2 * self._max_bytes + _SPARE_BYTES
        env = lmdb.open(str(self._path), map_size=map_bytes, max_dbs=3, mode=0o600, max_spare_txns=2)
        try:
            check_length(env, self._path)
            env.reader_check()
            self._hits: Any = env.open_db(b"hits")
            self._meta: Any = env.open_db(b"meta")
            self._poison: Any = env.open_db(b"poison")
        except BaseException:
            env.close()
            raise
        self._env: Any = env
        self._is_broken = False

    def _reopen(self) -> None:
        """Reopens the environment. Sequence numbers continue, because the caller assigns them."""
        with self._lock:
            self._env.close()
            self._open_or_replace()

    def _open_or_replace(self) -> None:
        try:
            self._open()
        except _CORRUPTION as exc:
            self._replace(exc)

    def _replace(self, exc: Exception) -> None:
        aside = self._path.with_name(f"{self._path.name}.corrupt-{time.time_ns()}")
        self._path.rename(aside)
        log.critical(
            "the journal is corrupt and was moved aside; hits in it have not been forwarded",
            extra={"action": "journal_moved_aside", "path": str(aside), "error": str(exc)},
        )
        self._open()


def check_length(env: Any, path: Path) -> None:
    """Raises `lmdb.CorruptedError` if the file is truncated: reading it would kill the process with SIGBUS."""
    needed = (env.info()["last_pgno"] + 1) * env.stat()["psize"]
    if (path / "data.mdb").stat().st_size < needed:
        raise lmdb.CorruptedError(f"data.mdb is shorter than the {needed} bytes it should have")


def first_hits(cursor: Any, after_seq: int, limit: int, max_bytes: int) -> list[tuple[int, bytes]]:
    hits: list[tuple[int, bytes]] = []
    if not cursor.set_range(_key(after_seq + 1)):
        return hits
    size = 0
    for key, hit in cursor:
        size += len(hit)
        if len(hits) == limit or (hits and size > max_bytes):
            break
        hits.append((int.from_bytes(key, "big"), hit))
    return hits

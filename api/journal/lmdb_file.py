"""Open file of a journal: its LMDB environment, its databases, and what a transaction does in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import lmdb

from api.journal.allocation import Allocation, Reserve, allocate_lock_file
from api.journal.lmdb_access import MAX_DATABASES, check_length, file_bytes, first_entries, key_of, put_entries

_SPARE_BYTES: Final = 8 << 20
_NEXT_SEQ: Final = b"next_seq"


class Removals(NamedTuple):
    """Entries to remove: ranges of sequence numbers (inclusive), and single entries to set aside."""

    ranges: list[tuple[int, int]]
    set_aside: list[tuple[int, bytes]]
    #: Names of spool files to remove once the records are gone.
    files: list[str]
    #: Names of spool files to remove unless a record names them.
    doubtful_files: list[str]

    def followed_by(self, later: Removals) -> Removals:
        """These removals and later ones."""
        return Removals(
            self.ranges + later.ranges,
            self.set_aside + later.set_aside,
            self.files + later.files,
            self.doubtful_files + later.doubtful_files,
        )


class JournalFile:
    """An open environment. Methods that have a transaction as argument raise `lmdb.Error`; call them in that of `env`.

    The map is more than twice as large as the entries may be, because deleting needs free pages too: LMDB copies the
    pages that it changes, so a full map could never be emptied.
    """

    def __init__(self, path: Path, max_bytes: int, reserve: Reserve) -> None:
        """Opens or creates the environment in the directory `path`, for entries of about `max_bytes` and a reserve.

        Raises:
            OSError, lmdb.Error: it cannot be opened, or it is corrupt.
        """
        path.mkdir(mode=0o700, exist_ok=True)
        allocate_lock_file(path / "lock.mdb")
        most_bytes = 2 * max_bytes + _SPARE_BYTES
        map_bytes = most_bytes + reserve.total
        env = lmdb.open(str(path), map_size=map_bytes, max_dbs=MAX_DATABASES, mode=0o600, max_spare_txns=2)
        try:
            check_length(env, path)
            env.reader_check()
            self.hits: Final[Any] = env.open_db(b"hits")
            self.reports: Final[Any] = env.open_db(b"reports")
            self.poison: Final[Any] = env.open_db(b"poison")
            self._meta: Final[Any] = env.open_db(b"meta")
            self.allocation: Final = Allocation(path / "data.mdb", file_bytes(env), most_bytes, reserve)
        except BaseException:
            env.close()
            raise
        self.env: Final[Any] = env
        self._map_bytes = map_bytes

    def close(self) -> None:
        self.allocation.close()
        self.env.close()

    def allocate(self) -> None:
        """Allocates ahead of what is used. Raises `OSError`."""
        self.allocation.grow(file_bytes(self.env))

    def note_used(self) -> None:
        """Notes what a commit has taken of the reserve."""
        self.allocation.note_used(file_bytes(self.env))

    def map(self, size: int) -> None:
        """Lets transactions use so many bytes of the file, but never less than they use already.

        Call it without any transaction, also of readers, whose map it replaces.
        """
        if size != self._map_bytes:
            self.env.set_mapsize(size)
            self._map_bytes = size

    def next_seq(self, txn: Any) -> int:
        """The number after the last one ever saved, starting at 1."""
        kept = txn.get(_NEXT_SEQ, db=self._meta)
        return int.from_bytes(kept, "big") if kept else 1

    def put_next_seq(self, txn: Any, next_seq: int) -> None:
        txn.put(_NEXT_SEQ, key_of(next_seq), db=self._meta)

    def count(self, txn: Any) -> int:
        """Hits and reports."""
        return sum(int(txn.stat(db)["entries"]) for db in (self.hits, self.reports))

    def used_bytes(self, txn: Any, *databases: Any) -> int:
        """Bytes of the pages of these databases and of the entries set aside."""
        pages = 0
        for db in (*databases, self.poison):
            stat = txn.stat(db)
            pages += stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return int(pages * stat["psize"])

    def first(self, txn: Any, after_seq: int, limit: int, max_bytes: int) -> list[tuple[int, bytes]]:
        """The first hits and reports after `after_seq`, in order of their numbers."""
        return first_entries(txn, (self.hits, self.reports), after_seq, limit, max_bytes)

    def put(self, txn: Any, hits: Sequence[tuple[int, bytes]], reports: Sequence[tuple[int, bytes]]) -> None:
        """Adds entries, whose numbers are above all others of their kind."""
        if hits:
            put_entries(txn, self.hits, hits)
        if reports:
            put_entries(txn, self.reports, reports)

    def remove(self, txn: Any, removals: Removals) -> None:
        """Removes these entries, and sets those aside that are to be."""
        for db in (self.hits, self.reports):
            cursor = txn.cursor(db=db)
            for first, last in removals.ranges:
                found, end = cursor.set_range(key_of(first)), key_of(last)
                while found and cursor.key() <= end:
                    cursor.delete()
                    # After a delete the cursor stands on the next entry; past the last one its key is empty.
                    found = bool(cursor.key())
        for seq, hit in removals.set_aside:
            txn.put(key_of(seq), hit, db=self.poison)

"""Renewal of a journal's file: copies what is left of it into a new file, which then takes its place.

LMDB keeps the bytes of removed entries in free pages. Only a new file is free of them.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any, Final

import lmdb

from actors.commands.intake import spool_name
from api.journal import file_swap
from api.journal.lmdb_access import key_of
from api.journal.lmdb_file import JournalFile, Removals
from api.journal.lmdb_store import LmdbStore
from api.journal.spool import Spool
from domain.errors import StoreUnavailable

log = logging.getLogger(__name__)

#: Bytes that are copied between two commits.
SLICE_BYTES: Final = 1 << 20


class Renewal:
    """One renewal. Runs in slices where `LmdbStore.write` is called, so that hits never wait for long.

    Until the last slice, the old file is the journal and gets all commits; after it, the new one is.
    """

    def __init__(self, store: LmdbStore, spool: Spool, above_seq: int, dropped: Collection[int] = ()) -> None:
        """Keeps all entries, which must have numbers above `above_seq`, and those set aside except `dropped`."""
        self._store = store
        self._spool = spool
        self._above_seq = above_seq
        self._dropped = frozenset(dropped)
        self._source = store.file
        self._target: JournalFile | None = None
        #: The number up to which each database is copied.
        self._copied = {"poison": 0, "reports": above_seq, "hits": above_seq}
        self._removals = Removals([], [], [], [])
        #: Spool files of the entries that were dropped.
        self._files: list[str] = []

    def note(self, removals: Removals) -> None:
        """Repeats a commit's removals in the new file. Call it after each commit."""
        self._removals = self._removals.followed_by(removals)

    def advance(self) -> bool:
        """Copies the next slice. True: the new file is the journal now, and the old one is gone.

        Raises:
            StoreUnavailable: the renewal cannot go on; the journal is as it was. Call `abandon`.
        """
        try:
            return self._advance()
        except (OSError, lmdb.Error) as exc:
            raise StoreUnavailable(f"the journal's file cannot be renewed ({exc}); check the disk") from exc

    def abandon(self) -> None:
        """Removes the new file, unless it is the journal. Never raises; the next start removes what is left."""
        if self._target is not None and self._target is not self._store.file:
            self._target.close()
        try:
            file_swap.remove_new(self._store.path)
        except OSError:
            log.exception("the new file of the journal stays for now", extra={"action": "journal_renewal_left"})

    def _advance(self) -> bool:
        store = self._store
        if store.file is not self._source:
            raise StoreUnavailable("the journal was reopened during its renewal")
        if self._target is None:
            store.require_directory()
            if not self._source.allocation.can_move:
                raise StoreUnavailable("the disk is full, and the journal cannot move to another file: free disk space")
            file_swap.remove_new(store.path)
            file_swap.remove_old(store.path)
            self._target = store.open_file(file_swap.next_path(store.path))
        target = self._target
        with self._source.env.begin(buffers=True) as old, target.env.begin(write=True) as new:
            if not self._copy(old, new, target):
                return False
            target.remove(new, self._removals)
            target.put_next_seq(new, self._source.next_seq(old))
            if target.count(new) != self._source.count(old):
                raise StoreUnavailable("the journal has entries that must be forwarded before its renewal")
        file_swap.swap(store.path)
        store.replace_file(target)
        for name in self._files:
            self._spool.remove(name)
        file_swap.remove_old(store.path)
        target.allocate()  # what the old one had
        return True

    def _copy(self, old: Any, new: Any, target: JournalFile) -> bool:
        """Copies up to `SLICE_BYTES`. Returns whether everything is copied."""
        left = SLICE_BYTES
        for name in self._copied:
            source_db, target_db = getattr(self._source, name), getattr(target, name)
            cursor = old.cursor(db=source_db)
            found = cursor.set_range(key_of(self._copied[name] + 1))
            while found:
                if left <= 0:
                    return False
                seq, entry = int.from_bytes(cursor.key(), "big"), cursor.value()
                self._copied[name] = seq
                if name == "poison" and seq in self._dropped:
                    if file := spool_name(bytes(entry)):
                        self._files.append(file)
                else:
                    new.put(key_of(seq), entry, db=target_db, append=True)
                    left -= len(entry)
                found = cursor.next()
        return True

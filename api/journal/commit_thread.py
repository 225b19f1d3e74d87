"""Commit thread of the journal: writes one commit after the other and reports each result to the event loop."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from api.journal.lmdb_store import LmdbStore, Removals, WriteResult


class Commit(NamedTuple):
    """The changes of one commit."""

    next_seq: int
    hits: list[tuple[int, bytes]]
    removals: Removals
    #: Where the result is reported.
    loop: asyncio.AbstractEventLoop


class CommitThread:
    """A thread that writes to the store, and closes it at the end."""

    def __init__(self, store: LmdbStore, on_committed: Callable[[Commit, WriteResult], None]) -> None:
        """`on_committed` is called on the event loop of the commit."""
        self._store = store
        self._on_committed = on_committed
        self._commits: queue.SimpleQueue[Commit | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def submit(self, commit: Commit) -> None:
        self._commits.put(commit)

    def stop(self) -> None:
        """Ends the thread after the pending commit, without waiting for it."""
        self._commits.put(None)

    def join(self) -> None:
        """Blocks until the thread has ended."""
        self._thread.join()

    def _run(self) -> None:
        while (commit := self._commits.get()) is not None:
            result = self._store.write(commit.next_seq, commit.hits, commit.removals)
            # The loop may be closed if the disk was stuck during shutdown.
            with suppress(RuntimeError):
                commit.loop.call_soon_threadsafe(self._on_committed, commit, result)
        self._store.close()

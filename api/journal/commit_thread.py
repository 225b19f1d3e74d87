"""Commit thread of the journal: writes one commit after the other and reports each result to the event loop."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

import lmdb

from api.journal.lmdb_file import Removals
from api.journal.lmdb_store import LmdbStore, WriteResult
from api.journal.renewal import Renewal
from api.journal.report_queue import ReportGroup
from api.journal.spool import Spool
from domain.errors import FeedbackLoopsError, StoreUnavailable

log = logging.getLogger(__name__)


class Commit(NamedTuple):
    """The changes of one commit."""

    next_seq: int
    hits: list[tuple[int, bytes]]
    removals: Removals
    #: Reports with their numbers, which are above those of the hits; and the requests that wait for them.
    reports: list[tuple[int, bytes]]
    groups: list[ReportGroup]
    #: Where the result is reported.
    loop: asyncio.AbstractEventLoop
    #: Whether the service stops, so that hits may take what is reserved for this.
    is_last: bool

    @property
    def last_seq(self) -> int:
        """The highest number of its entries; 0 if there is none."""
        entries = self.reports or self.hits
        return entries[-1][0] if entries else 0


class RenewalJob(NamedTuple):
    """A renewal of the journal's file, and where its result is reported."""

    renewal: Renewal
    done: asyncio.Future[None]


class CommitThread:
    """A thread that writes to the store, and closes it at the end."""

    def __init__(self, store: LmdbStore, spool: Spool, on_committed: Callable[[Commit, WriteResult], None]) -> None:
        """`on_committed` is called on the event loop of the commit."""
        self._store = store
        self._spool = spool
        self._on_committed = on_committed
        self._jobs: queue.SimpleQueue[Commit | RenewalJob | None] = queue.SimpleQueue()
        self._renewing: RenewalJob | None = None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def submit(self, commit: Commit) -> None:
        self._jobs.put(commit)

    def renew(self, job: RenewalJob) -> None:
        """Starts a renewal, in slices between commits. There must be no other one."""
        self._jobs.put(job)

    def stop(self) -> None:
        """Ends the thread after the pending commit, without waiting for it."""
        self._jobs.put(None)

    def join(self) -> None:
        """Blocks until the thread has ended."""
        self._thread.join()

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            if isinstance(job, Commit):
                self._commit(job)
            else:
                self._renew(job)
        if self._renewing is not None:
            self._renewing.renewal.abandon()
            _report(self._renewing.done, StoreUnavailable("the service is stopping"))
        self._store.close()

    def _commit(self, commit: Commit) -> None:
        result = self._store.write(
            commit.next_seq, commit.hits, commit.removals, commit.reports, is_last=commit.is_last
        )
        if result.are_removals_done:
            self._remove_files(commit.removals)
            if self._renewing is not None:
                self._renewing.renewal.note(commit.removals)
        # The loop may be closed if the disk was stuck during shutdown.
        with suppress(RuntimeError):
            commit.loop.call_soon_threadsafe(self._on_committed, commit, result)

    def _renew(self, job: RenewalJob) -> None:
        self._renewing = job
        try:
            if not job.renewal.advance():
                self._jobs.put(job)  # after the commits that wait
                return
        except FeedbackLoopsError as exc:
            job.renewal.abandon()
            _report(job.done, exc)
        except Exception as exc:
            log.exception("unexpected error while renewing the journal", extra={"action": "journal_renewal_failed"})
            job.renewal.abandon()
            _report(job.done, exc)
        else:
            _report(job.done, None)
        self._renewing = None

    def _remove_files(self, removals: Removals) -> None:
        for name in removals.files:
            self._spool.remove(name)
        if removals.doubtful_files:
            try:
                recorded = self._store.spooled()
            except lmdb.Error:  # the next start of the front end removes them
                log.exception("files of refused mails stay for now", extra={"action": "spool_kept"})
            else:
                for name in set(removals.doubtful_files) - recorded:
                    self._spool.remove(name)


def _report(done: asyncio.Future[None], problem: Exception | None) -> None:
    def finish() -> None:
        if not done.done():
            done.set_result(None) if problem is None else done.set_exception(problem)

    with suppress(RuntimeError):  # the loop is closed
        done.get_loop().call_soon_threadsafe(finish)

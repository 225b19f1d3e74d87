"""Edge journal: puts a hit or report on disk before its answer. Those that arrive during an fsync share the next one.

The event loop owns all state; one thread runs the commits, one at a time. A disk that is full, broken or stuck delays
no response: hits are then kept in memory, within bounds, and written once the disk works. Reports are refused.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from actors.commands.intake import received_ms
from actors.settings.data_dir_watch import UNWATCHED, DataDirWatch
from api.journal.allocation import Reserve, ReserveState
from api.journal.commit_thread import Commit, CommitThread, RenewalJob
from api.journal.limits import JournalLimits
from api.journal.lmdb_file import Removals
from api.journal.lmdb_store import LmdbStore, WriteResult
from api.journal.memory_buffer import MemoryBuffer
from api.journal.renewal import Renewal
from api.journal.report_queue import ReportGroup, ReportQueue, accept, refuse
from api.journal.spill import Spill
from api.journal.spool import FOLDER, Spool
from domain.errors import JournalUnavailable, StoreUnavailable

log = logging.getLogger(__name__)

_HITS_PER_COMMIT: Final = 4096
_BYTES_PER_COMMIT: Final = 4 << 20
#: At a stop, a commit that fails is tried again in parts of this size: they may fit where it did not.
_PART_BYTES: Final = 128 << 10
_STUCK: Final = "the disk has not finished a write of the journal in time: hits are kept in memory; check the disk"


class Journal:
    """Hits and reports that are not in the ledger yet. Create it with `open`; use it from one event loop.

    A hit is durable when `append` returns, unless `problem` says otherwise; reports are durable when `append_reports`
    returns. Each has a number; numbers only grow, even across restarts. Only `discard` removes them. Reading never
    waits for writes.
    """

    def __init__(
        self, store: LmdbStore, limits: JournalLimits, spool: Spool | None = None, spill: Spill | None = None
    ) -> None:
        """`spill` takes hits that cannot be written at a stop."""
        self._store = store
        self._spill = spill
        self.spool = spool or Spool(store.path.with_name(FOLDER), 0)
        self._is_closed = False
        self._is_last = False
        self._bytes_per_commit = _BYTES_PER_COMMIT
        self._reports = ReportQueue()
        self._limits = limits
        self._last_seq = store.next_seq() - 1
        self._saved_seq = self._last_seq
        self._entries = store.entries
        self._readable_seq = self._last_seq if self._entries else 0
        self._more = asyncio.Event()
        # Includes the hits of the pending commit.
        self._unsaved = MemoryBuffer(limits.kept_hits, limits.kept_bytes)
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._removals = Removals([], [], [], [])
        self._job: Commit | None = None
        self._job_over = asyncio.Event()
        self._is_commit_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._report_timer: asyncio.TimerHandle | None = None
        self._stuck_timer: asyncio.TimerHandle | None = None
        self._problem: str | None = None
        self._is_disk_working = True
        self._lost = 0
        self._lost_at_stop = 0
        self._complained_s = float("-inf")
        self._thread = CommitThread(store, self.spool, self._committed)

    @classmethod
    def open(
        cls,
        path: Path,
        max_bytes: int,
        limits: JournalLimits | None = None,
        watch: DataDirWatch = UNWATCHED,
        reserve_bytes: int = 0,
        spill: Spill | None = None,
    ) -> Journal:
        """Opens or creates the journal in the directory `path`; it holds about `max_bytes`, and its spool as much.

        With `reserve_bytes`, its file is allocated ahead: for so many bytes while the disk is full, and for everything
        in memory at a stop.

        A corrupt one is renamed to `<path>.corrupt-<time>` with its spool, logged as critical, and replaced. Otherwise
        spool files without a record are removed.

        Raises:
            StoreUnavailable: another process has it open, or the directory cannot be made, read or written.
            DataDirLost: it is not the directory that the service was started with.
        """
        limits = limits or JournalLimits()
        store = LmdbStore(path, max_bytes, watch, Reserve.of(reserve_bytes, limits.kept_bytes))
        spool = Spool(path.with_name(FOLDER), max_bytes)
        if spool.names():
            spool.remove_all_except(store.spooled())
        return cls(store, limits, spool, spill)

    @property
    def depth(self) -> int:
        """Hits on disk or in memory that are not discarded."""
        doomed = sum(max(0, min(last, self._saved_seq) - first + 1) for first, last in self._doomed())
        return max(0, self._entries + len(self._unsaved) - doomed)

    @property
    def oldest_age_s(self) -> float:
        """Age of the oldest hit; 0.0 if there is none or it cannot be read."""
        oldest = self.read(0, 1)
        since_ms = received_ms(oldest[0][1]) if oldest else None
        return 0.0 if since_ms is None else max(0.0, time.time() - since_ms / 1000)

    @property
    def problem(self) -> str | None:
        """Why hits are kept in memory instead of on disk, in one sentence; None while all is well."""
        return self._problem

    @property
    def reserve(self) -> ReserveState:
        """The part of the file that is kept for hits while the disk is full, as of the last commit."""
        return self._store.reserve

    @property
    def is_open(self) -> bool:
        """Whether hits can be added: to the disk, or to memory while it does not work."""
        return not self._is_closed

    @property
    def lost(self) -> int:
        """Hits dropped since the start because both disk and memory were full."""
        return self._lost

    @property
    def lost_at_stop(self) -> int:
        """Answered hits that `close` could save nowhere."""
        return self._lost_at_stop

    async def append(self, hit: bytes) -> None:
        """Adds a hit; returns when it is durable, or at once while the disk does not work.

        If the memory for that is full too, the hit is dropped and counted in `lost`.
        """
        if not self._unsaved.has_room_for(hit):
            self._drop()
            return
        self._last_seq = seq = self._last_seq + 1
        self._unsaved.add(seq, hit)
        if self._problem is not None:
            self._announce()
            return
        loop = asyncio.get_running_loop()
        durable: asyncio.Future[None] = loop.create_future()
        self._waiting.append((seq, durable))
        if not self._is_commit_due:
            self._commit_soon()
        await durable

    def _commit_soon(self) -> None:
        """Commits in the next iteration of the event loop, so that all entries of this iteration share the commit."""
        if not self._is_commit_due:
            self._is_commit_due = True
            asyncio.get_running_loop().call_soon(self._commit)

    async def append_reports(self, entries: Sequence[bytes]) -> None:
        """Adds reports in one commit; returns when they are durable.

        Raises:
            JournalUnavailable: they were refused, because the disk does not work, or reports hold half of the journal.
                With `may_have_run`, they may be on disk nevertheless, and be recorded.
            Overloaded: too many reports wait for the disk.
        """
        if self._is_closed or self._problem is not None:
            raise JournalUnavailable(self._problem or "the service is stopping")
        saved = self._reports.add(entries)
        self._commit_reports_in(self._limits.report_delay_s)
        await saved

    def _commit_reports_in(self, delay_s: float) -> None:
        """Commits after this time, unless hits do so earlier: a commit of reports alone would hold up the next hit."""
        if self._report_timer is None:
            self._report_timer = asyncio.get_running_loop().call_later(delay_s, self._commit)

    def read(self, after_seq: int, limit: int, max_bytes: int = 1 << 30) -> list[tuple[int, bytes]]:
        """The first hits after number `after_seq`, in order, discarded ones left out.

        At most `limit`, and at most `max_bytes` unless the first hit is longer. Hits in memory follow those on disk;
        while the disk cannot be read (`problem`), only they are returned.
        """
        doomed = [(first, last) for first, last in self._doomed() if last > after_seq]
        extra = sum(last - max(first, after_seq + 1) + 1 for first, last in doomed)
        hits = self._read_saved(after_seq, limit + extra, max_bytes)
        if doomed:
            hits = [hit for hit in hits if not any(first <= hit[0] <= last for first, last in doomed)][:limit]
        if self._problem is not None and len(hits) < limit:
            self._unsaved.extend(hits, hits[-1][0] if hits else after_seq, limit, max_bytes)
        return hits

    async def wait_for_more(self, after_seq: int) -> None:
        """Returns when a hit with a number above `after_seq` can be read."""
        while self._readable_seq <= after_seq:
            self._more.clear()
            await self._more.wait()

    def discard(self, first_seq: int, last_seq: int, file: str | None = None) -> None:
        """Removes the entries of a range (inclusive); from disk with the next commit, or soon if none is due.

        After a crash before that commit, they are read again. `file` is the spool file to remove after that commit; the
        file of an entry that was set aside stays.
        """
        if file is not None and first_seq not in (seq for seq, _ in self._removals.set_aside):
            self._removals.files.append(file)
        if last_seq > self._saved_seq:
            for seq in range(max(first_seq, self._saved_seq + 1), min(last_seq, self._last_seq) + 1):
                self._unsaved.forget(seq)
        handed_seq = max(self._saved_seq, self._job.last_seq if self._job else 0)
        if first_seq <= handed_seq:
            self._remove_later((first_seq, min(last_seq, handed_seq)))

    def discard_file_without_record(self, name: str) -> None:
        """Removes the spool file of a refused report soon, unless the report turns out to be on disk."""
        self._removals.doubtful_files.append(name)
        self._commit_in(self._limits.removal_delay_s)

    def set_aside(self, seq: int, hit: bytes) -> None:
        """Copies a hit that cannot be recorded into the `poison` database, in the commit of its `discard`."""
        self._removals.set_aside.append((seq, hit))

    def set_aside_hits(self) -> list[tuple[int, bytes]]:
        """Every hit set aside so far, with its number. Reads the disk."""
        return self._store.set_aside_hits()

    @property
    def last_seq(self) -> int:
        """The highest number that an entry has."""
        return self._last_seq

    def holds(self, up_to_seq: int) -> bool:
        """Whether an entry up to this number is in memory or on disk, where removed ones stay until the next commit."""
        job = self._job
        in_memory = [self._unsaved.first_seq] + ([job.reports[0][0]] if job and job.reports else [])
        set_aside = self._removals.set_aside + (job.removals.set_aside if job else [])
        if any(seq is not None and seq <= up_to_seq for seq in (*in_memory, *(seq for seq, _ in set_aside))):
            return True
        saved = self._read_saved(0, 1, 1)
        return self._problem is not None or bool(saved and saved[0][0] <= up_to_seq)

    async def renew(self, above_seq: int, dropped: Collection[int] = ()) -> None:
        """Starts a new file with the entries above this number, and with those set aside except `dropped`.

        When it returns, no byte of the others is left in the journal's directory. Hits and reports are durable
        meanwhile. There must be no other renewal.

        Raises:
            StoreUnavailable: there are other entries (`holds`), or the disk does not work; the old file is still used.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._thread.renew(RenewalJob(Renewal(self._store, self.spool, above_seq, dropped), done))
        await done

    async def flush(self, timeout_s: float = 5.0) -> None:
        """Writes the hits in memory, also to what is reserved for this. No hit may be added any more."""
        self._is_last = True
        try:
            async with asyncio.timeout(timeout_s):
                await self._settle()
        except TimeoutError:
            log.error("the journal's disk is stuck during shutdown", extra={"action": "journal_stuck"})  # noqa: TRY400

    async def close(self, timeout_s: float = 5.0) -> None:
        """Writes the hits in memory, to the spill if the disk does not work, and closes. Later hits count as lost."""
        self._is_closed = True
        await self.flush(timeout_s)
        self._cancel_timers()
        if self._unsaved:
            self._spill_unsaved()
        self._unsaved = MemoryBuffer(0, 0)
        self._refuse_reports("the service is stopping")
        self._thread.stop()
        if self._job is None:
            await asyncio.to_thread(self._thread.join)

    def _spill_unsaved(self) -> None:
        """Saves what is in memory elsewhere, and blocks meanwhile. Those of a pending commit may be on disk, too."""
        hits = [hit for _, hit in self._unsaved.first(len(self._unsaved), 1 << 62)]
        spilled = 0 if self._spill is None else self._spill.write(hits)
        self._lost_at_stop = lost = len(hits) - spilled
        if lost:
            log.critical("hits were lost during shutdown", extra={"action": "hit_lost", "lost": lost})

    async def _settle(self) -> None:
        """Commits until nothing is left, or the disk fails or has no room for a part of it."""
        await self._wait_for_job()
        while self._unsaved or self._reports or any(self._removals):
            self._commit()
            if not await self._wait_for_job():
                if self._bytes_per_commit == _PART_BYTES:
                    return
                self._bytes_per_commit = _PART_BYTES

    async def _wait_for_job(self) -> bool:
        """Waits for the pending commit and those that follow at once. Returns whether the last one succeeded."""
        while self._job is not None:
            self._job_over.clear()
            await self._job_over.wait()
        return self._is_disk_working

    # --- commits ----------------------------------------------------------------------------------------------------

    def _commit(self) -> None:
        """Passes everything that waits to the thread, unless a commit is pending; it calls this again when it ends."""
        self._is_commit_due = False
        if self._report_timer is not None:
            self._report_timer.cancel()
            self._report_timer = None
        if self._job is not None:
            return
        loop = asyncio.get_running_loop()
        hits = self._unsaved.first(_HITS_PER_COMMIT, self._bytes_per_commit)
        reports, groups = self._numbered_reports() if self._reports and len(hits) == len(self._unsaved) else ([], [])
        self._job = Commit(self._last_seq + 1, hits, self._removals, reports, groups, loop, self._is_last)
        self._removals = Removals([], [], [], [])
        self._stuck_timer = loop.call_later(self._limits.stuck_s, self._continue_in_memory, _STUCK)
        self._thread.submit(self._job)

    def _numbered_reports(self) -> tuple[list[tuple[int, bytes]], list[ReportGroup]]:
        """Reports for the next commit. Their numbers are above those of all hits, so they reach the disk in order."""
        groups = self._reports.take(_BYTES_PER_COMMIT)
        entries = [entry for group in groups for entry in group.entries]
        reports = list(enumerate(entries, start=self._last_seq + 1))
        self._last_seq += len(reports)
        return reports, groups

    def _committed(self, job: Commit, outcome: WriteResult) -> None:
        self._job = None
        if problem := outcome.problem or outcome.reports_problem:
            refuse(job.groups, problem, may_be_saved=outcome.problem is not None)
        else:
            accept(job.groups)
        self._job_over.set()
        self._is_disk_working = outcome.problem is None
        if self._stuck_timer is not None:
            self._stuck_timer.cancel()
        if outcome.are_removals_done:
            self._entries = outcome.entries
        else:
            self._removals = job.removals.followed_by(self._removals)
        if outcome.problem is None:
            self._saved(job)
        else:
            self._continue_in_memory(outcome.problem)
            self._commit_in(self._limits.retry_s)

    def _saved(self, job: Commit) -> None:
        for seq, _ in job.hits:
            self._unsaved.forget(seq)
        self._saved_seq = max(self._saved_seq, job.last_seq)
        # `append` waits for the disk again once a single commit can write all hits in memory.
        if self._problem is not None and len(self._unsaved) <= _HITS_PER_COMMIT:
            log.warning("journal recovered", extra={"action": "journal_recovered"})
            self._problem = None
        self._release(self._saved_seq)
        self._announce()
        if self._unsaved:
            self._commit()
        elif self._reports:
            self._commit_reports_in(self._limits.report_delay_s)
        elif any(self._removals):  # their timer may have fired during this commit
            self._commit_in(self._limits.removal_delay_s)
        elif self.reserve.is_used:  # a commit notices that there is room again
            self._commit_in(self._limits.retry_s)

    def _refuse_reports(self, problem: str) -> None:
        self._reports.refuse_all(problem)
        if self._job is not None:
            refuse(self._job.groups, problem, may_be_saved=True)

    def _continue_in_memory(self, problem: str) -> None:
        self._refuse_reports(problem)
        if self._problem != problem:
            log.error("journal problem", extra={"action": "journal_problem", "problem": problem})
        self._problem = problem
        self._release(self._last_seq)
        self._announce()

    def _release(self, up_to_seq: int) -> None:
        waiting = self._waiting
        while waiting and waiting[0][0] <= up_to_seq:
            durable = waiting.popleft()[1]
            if not durable.done():
                durable.set_result(None)

    def _announce(self) -> None:
        self._readable_seq = self._saved_seq if self._problem is None else self._last_seq
        self._more.set()

    def _commit_in(self, delay_s: float) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._unsaved or any(self._removals) or self._problem is not None or self.reserve.is_used:
            self._commit()

    def _cancel_timers(self) -> None:
        for timer in (self._timer, self._report_timer, self._stuck_timer):
            if timer is not None:
                timer.cancel()

    # --- reading and removing ---------------------------------------------------------------------

    def _read_saved(self, after_seq: int, limit: int, max_bytes: int) -> list[tuple[int, bytes]]:
        try:
            return self._store.read(after_seq, limit, max_bytes)
        except StoreUnavailable as exc:
            self._continue_in_memory(str(exc))
            self._commit_in(self._limits.retry_s)
            return []

    def _remove_later(self, doomed: tuple[int, int]) -> None:
        ranges = self._removals.ranges
        if ranges and ranges[-1][1] + 1 == doomed[0]:
            ranges[-1] = (ranges[-1][0], doomed[1])
        else:
            ranges.append(doomed)
        self._commit_in(self._limits.removal_delay_s)

    def _doomed(self) -> list[tuple[int, int]]:
        under_way = self._job.removals.ranges if self._job else []
        return under_way + self._removals.ranges if under_way else self._removals.ranges

    def _drop(self) -> None:
        self._lost += 1
        now_s = time.monotonic()
        if now_s - self._complained_s >= self._limits.complaint_s:
            self._complained_s = now_s
            log.error("hits are being lost", extra={"action": "hit_lost", "lost": self._lost, "problem": self._problem})

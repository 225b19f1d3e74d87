"""The edge journal: a hit is on disk before it is answered, and hits that arrive during one fsync share the next.

The event loop owns all state; one thread carries out commits, one at a time. A disk that is full, broken or stuck holds
nobody up: hits are then kept in memory, within bounds, and moved to the disk once it works.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from actors.commands.intake import received_ms
from api.journal.lmdb_store import LmdbStore, Removals, WriteResult
from api.journal.memory_buffer import MemoryBuffer
from domain.errors import StoreUnavailable

log = logging.getLogger(__name__)

_HITS_PER_COMMIT: Final = 4096
_BYTES_PER_COMMIT: Final = 4 << 20
_STUCK: Final = "the disk has not finished a write of the journal in time: hits are kept in memory; check the disk"


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLimits:
    """How much a journal keeps in memory, and how long it waits."""

    #: Hits kept in memory at most while the disk does not work.
    kept_hits: int = 100_000
    #: Their size at most.
    kept_bytes: int = 64 << 20
    #: Seconds between two tries of a disk that does not work.
    retry_s: float = 1.0
    #: Seconds a commit may take before the disk counts as not working.
    stuck_s: float = 2.0
    #: Seconds that removals wait for a commit to ride on before they get one of their own.
    removal_delay_s: float = 0.1
    #: Seconds between two complaints in the log about lost hits.
    complaint_s: float = 10.0


class _Job(NamedTuple):
    next_seq: int
    hits: list[tuple[int, bytes]]
    removals: Removals
    loop: asyncio.AbstractEventLoop


class Journal:
    """Hits that were answered and are not yet in the ledger. Made by `open`; used from one event loop.

    A hit is durable when `append` returns, unless `problem` says otherwise. Each has a number; numbers only grow, over
    restarts too. Hits leave by `discard` alone. Reading never waits for the disk's writes.
    """

    def __init__(self, store: LmdbStore, limits: JournalLimits) -> None:
        self._store = store
        self._limits = limits
        self._last_seq = store.next_seq() - 1
        self._saved_seq = self._last_seq
        self._entries = store.entries
        self._readable_seq = self._last_seq if self._entries else 0
        self._more = asyncio.Event()
        # Those of the commit under way included.
        self._unsaved = MemoryBuffer(limits.kept_hits, limits.kept_bytes)
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._removals = Removals([], [])
        self._job: _Job | None = None
        self._job_over = asyncio.Event()
        self._is_commit_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._stuck_timer: asyncio.TimerHandle | None = None
        self._problem: str | None = None
        self._is_disk_working = True
        self._lost = 0
        self._complained_s = float("-inf")
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._carry_out_jobs, name="journal", daemon=True)
        self._thread.start()

    @classmethod
    def open(cls, path: Path, max_bytes: int, limits: JournalLimits | None = None) -> Journal:
        """Opens or makes the journal in the directory `path`; it takes at most about `max_bytes` of hits.

        A corrupt one is renamed to `<path>.corrupt-<time>`, loudly, and a new one begun.

        Raises:
            StoreUnavailable: another process has it open, or the directory cannot be made, read or written.
        """
        return cls(LmdbStore(path, max_bytes), limits or JournalLimits())

    @property
    def depth(self) -> int:
        """Hits that are held, on disk or in memory, and not discarded."""
        doomed = sum(max(0, min(last, self._saved_seq) - first + 1) for first, last in self._doomed())
        return max(0, self._entries + len(self._unsaved) - doomed)

    @property
    def oldest_age_s(self) -> float:
        """Seconds since the oldest hit was made; 0.0 when there is none, or it cannot be read."""
        oldest = self.read(0, 1)
        since_ms = received_ms(oldest[0][1]) if oldest else None
        return 0.0 if since_ms is None else max(0.0, time.time() - since_ms / 1000)

    @property
    def problem(self) -> str | None:
        """Why hits are kept in memory instead of on disk, in one sentence; None while all is well."""
        return self._problem

    @property
    def lost(self) -> int:
        """Hits that were dropped since the start because disk and memory were full."""
        return self._lost

    async def append(self, hit: bytes) -> None:
        """Keeps a hit; returns when it is durable, or at once while the disk does not work.

        When the memory for that is full as well, the new hit is dropped and counted in `lost`.
        """
        if not self._unsaved.has_room_for(hit):
            self._lose()
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
            # One turn later, so that all hits of this turn share the commit.
            self._is_commit_due = True
            loop.call_soon(self._commit)
        await durable

    def read(self, after_seq: int, limit: int, max_bytes: int = 1 << 30) -> list[tuple[int, bytes]]:
        """The first hits after number `after_seq`, in order, discarded ones left out.

        At most `limit`, and `max_bytes` unless the first alone is longer. Hits kept in memory come after those on disk;
        while the disk cannot be read (`problem`), they come alone.
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

    def discard(self, first_seq: int, last_seq: int) -> None:
        """Forgets the hits of a range (both ends included); on disk with the next commit, or soon when there is none.

        After a crash before that they are read again.
        """
        if last_seq > self._saved_seq:
            for seq in range(max(first_seq, self._saved_seq + 1), min(last_seq, self._last_seq) + 1):
                self._unsaved.forget(seq)
        handed_seq = self._job.hits[-1][0] if self._job and self._job.hits else self._saved_seq
        if first_seq <= handed_seq:
            self._remove_later((first_seq, min(last_seq, handed_seq)))

    def set_aside(self, seq: int, hit: bytes) -> None:
        """Copies a hit that nobody can use into the journal's `poison` database, with the commit of its `discard`."""
        self._removals.set_aside.append((seq, hit))

    def set_aside_hits(self) -> list[tuple[int, bytes]]:
        """Every hit set aside so far, with its number. Reads the disk."""
        return self._store.set_aside_hits()

    async def close(self, timeout_s: float = 5.0) -> None:
        """Saves what is kept in memory, if the disk lets it, and closes the files. Hits after that count as lost."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._settle()
        except TimeoutError:
            log.error("the journal's disk is stuck at the stop", extra={"action": "journal_stuck"})  # noqa: TRY400
        self._cancel_timers()
        if self._unsaved:
            log.error("hits are lost with the stop", extra={"action": "hit_lost", "lost": len(self._unsaved)})
        self._unsaved = MemoryBuffer(0, 0)
        self._jobs.put(None)
        if self._job is None:
            await asyncio.to_thread(self._thread.join)

    async def _settle(self) -> None:
        """Commits until nothing is left, or the disk refuses."""
        await self._wait_for_job()
        is_working = True
        while is_working and (self._unsaved or any(self._removals)):
            self._commit()
            is_working = await self._wait_for_job()

    async def _wait_for_job(self) -> bool:
        """Waits for the commit under way and those that follow it at once. True: the last one succeeded."""
        while self._job is not None:
            self._job_over.clear()
            await self._job_over.wait()
        return self._is_disk_working

    # --- commits ----------------------------------------------------------------------------------------------------

    def _commit(self) -> None:
        """Hands everything that waits to the thread; while a commit is under way its end does so."""
        self._is_commit_due = False
        if self._job is not None:
            return
        loop = asyncio.get_running_loop()
        hits = self._unsaved.first(_HITS_PER_COMMIT, _BYTES_PER_COMMIT)
        self._job = _Job(self._last_seq + 1, hits, self._removals, loop)
        self._removals = Removals([], [])
        self._stuck_timer = loop.call_later(self._limits.stuck_s, self._hold_nobody_up, _STUCK)
        self._jobs.put(self._job)

    def _carry_out_jobs(self) -> None:
        while (job := self._jobs.get()) is not None:
            outcome = self._store.write(job.next_seq, job.hits, job.removals)
            # The loop may be closed when the disk was stuck at the stop.
            with suppress(RuntimeError):
                job.loop.call_soon_threadsafe(self._committed, job, outcome)
        self._store.close()

    def _committed(self, job: _Job, outcome: WriteResult) -> None:
        self._job = None
        self._job_over.set()
        self._is_disk_working = outcome.problem is None
        if self._stuck_timer is not None:
            self._stuck_timer.cancel()
        if outcome.are_removals_done:
            self._entries = outcome.entries
        else:
            self._removals = Removals(
                job.removals.ranges + self._removals.ranges, job.removals.set_aside + self._removals.set_aside
            )
        if outcome.problem is None:
            self._saved(job)
        else:
            self._hold_nobody_up(outcome.problem)
            self._commit_in(self._limits.retry_s)

    def _saved(self, job: _Job) -> None:
        for seq, _ in job.hits:
            self._unsaved.forget(seq)
        if job.hits:
            self._saved_seq = job.hits[-1][0]
        # Whoever appends waits again once one commit suffices for all that is kept.
        if self._problem is not None and len(self._unsaved) <= _HITS_PER_COMMIT:
            log.warning("the journal works again", extra={"action": "journal_recovered"})
            self._problem = None
        self._release(self._saved_seq)
        self._announce()
        if self._unsaved:
            self._commit()

    def _hold_nobody_up(self, problem: str) -> None:
        if self._problem != problem:
            log.error("the journal has a problem", extra={"action": "journal_problem", "problem": problem})
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
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._timer_rang)

    def _timer_rang(self) -> None:
        self._timer = None
        if self._unsaved or any(self._removals) or self._problem is not None:
            self._commit()

    def _cancel_timers(self) -> None:
        for timer in (self._timer, self._stuck_timer):
            if timer is not None:
                timer.cancel()

    # --- what is not on disk, and what leaves it ---------------------------------------------------------------------

    def _read_saved(self, after_seq: int, limit: int, max_bytes: int) -> list[tuple[int, bytes]]:
        try:
            return self._store.read(after_seq, limit, max_bytes)
        except StoreUnavailable as exc:
            self._hold_nobody_up(str(exc))
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

    def _lose(self) -> None:
        self._lost += 1
        now_s = time.monotonic()
        if now_s - self._complained_s >= self._limits.complaint_s:
            self._complained_s = now_s
            log.error("hits are being lost", extra={"action": "hit_lost", "lost": self._lost, "problem": self._problem})

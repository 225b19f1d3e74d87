"""Forwarder of hits from the journal to the ledger: sends batches until they are acknowledged, then discards them."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from actors.commands.intake import event_id_of
from actors.gateway.client import Client
from actors.metrics.instruments import HitInstruments
from api.journal.journal import Journal
from domain.errors import FeedbackLoopsError, InvalidInput, InvalidToken, UnknownIntake
from domain.values import id_text

log = logging.getLogger(__name__)

Hits = list[tuple[int, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwarderLimits:
    """Batch sizes, concurrency and waiting times of the forwarder."""

    batch_hits: int = 256
    #: Below the size up to which Ray copies arguments into a call (100 KB). A larger hit is sent in a separate batch.
    batch_bytes: int = 90_000
    #: Maximum number of batches that are sent and not acknowledged.
    in_flight: int = 4
    #: While something is in flight, a batch waits for this many hits…
    pool_hits: int = 64
    #: …for at most this long, in seconds.
    pool_s: float = 0.005
    #: Seconds before a batch is sent again, doubling from the first value to the last, with ±50 % jitter. Most outages
    #: end within a second, so a long last delay would double the time that hits wait.
    first_backoff_s: float = 0.05
    last_backoff_s: float = 0.3
    #: Seconds before entries that the enricher cannot read yet are sent again. An update of the actors takes a minute.
    unknown_retry_s: float = 5.0


class Forwarder:
    """Brings every hit of the journal to the ledger at least once, in no particular order.

    With nothing in flight, a hit is sent at once; otherwise hits pool, so batches grow with the load. A batch is sent
    again until it is acknowledged. A hit that cannot be decoded is set aside in the journal and does not block others.
    An entry that only a newer version can read stays in the journal and is sent again at intervals.
    """

    def __init__(
        self,
        journal: Journal,
        client: Client,
        limits: ForwarderLimits | None = None,
        jitter: Callable[[], float] = random.random,
        instruments: HitInstruments | None = None,
    ) -> None:
        """`jitter` returns numbers in [0, 1)."""
        self._journal = journal
        self._client = client
        self._limits = limits or ForwarderLimits()
        self._jitter = jitter
        self._instruments = instruments or HitInstruments()
        self._cursor = 0
        self._slots = asyncio.Semaphore(self._limits.in_flight)
        self._batches: set[asyncio.Task[None]] = set()
        self._batch_over = asyncio.Event()
        #: Sequence numbers of entries that the enricher cannot read yet, and the timer that sends them again.
        self._unread: list[int] = []
        self._unread_timer: asyncio.TimerHandle | None = None
        self._runner: asyncio.Task[None] | None = None
        self._problem: str | None = None

    @property
    def problem(self) -> str | None:
        """Why the latest batch was not acknowledged, in one sentence; None while all is well."""
        return self._problem

    @property
    def in_flight(self) -> int:
        """Batches sent and not acknowledged."""
        return len(self._batches)

    async def start(self) -> None:
        """Starts forwarding, including the hits that are already in the journal. Returns at once."""
        if self._runner is None:
            self._cursor = 0
            self._unread = []
            self._slots = asyncio.Semaphore(self._limits.in_flight)
            self._runner = asyncio.create_task(self._run(), name="forwarder")

    async def stop(self, drain_s: float) -> None:
        """Forwards until the journal is empty, for at most `drain_s` seconds; the rest stays in the journal."""
        with suppress(TimeoutError):
            async with asyncio.timeout(drain_s):
                await self._drained()
        if self._unread_timer is not None:
            self._unread_timer.cancel()
        tasks = [task for task in (self._runner, *self._batches) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._runner = None

    async def _drained(self) -> None:
        while self._runner is not None and self._journal.depth:
            self._batch_over.clear()
            await self._batch_over.wait()

    async def _run(self) -> None:
        while True:
            await self._slots.acquire()
            try:
                hits = await self._next_batch()
            except Exception:
                log.exception("unexpected error while reading the journal", extra={"action": "journal_read_failed"})
                self._slots.release()
                await asyncio.sleep(self._limits.last_backoff_s)
                continue
            self._cursor = hits[-1][0]
            self._instruments.batch.observe(len(hits))
            batch = asyncio.create_task(self._forward(hits), name="forwarder batch")
            self._batches.add(batch)
            batch.add_done_callback(self._over)

    async def _next_batch(self) -> Hits:
        journal, limits = self._journal, self._limits
        while True:
            await journal.wait_for_more(self._cursor)
            if self._batches:
                with suppress(TimeoutError):
                    async with asyncio.timeout(limits.pool_s):
                        await journal.wait_for_more(self._cursor + limits.pool_hits - 1)
            if hits := journal.read(self._cursor, limits.batch_hits, limits.batch_bytes):
                return hits
            # The disk cannot be read now; the journal retries.
            await asyncio.sleep(limits.first_backoff_s)

    def _over(self, batch: asyncio.Task[None]) -> None:
        self._batches.discard(batch)
        self._slots.release()
        self._batch_over.set()

    async def _forward(self, hits: Hits, *, are_neighbours: bool = True) -> None:
        """`are_neighbours`: the journal holds no other hit between the first and the last."""
        unread = await self._record(hits)
        if are_neighbours and not unread:
            self._journal.discard(hits[0][0], hits[-1][0])
            return
        for seq in sorted({seq for seq, _ in hits}.difference(unread)):
            self._journal.discard(seq, seq)
        if unread:
            self._keep(unread)

    async def _record(self, hits: Hits) -> list[int]:
        """Waits until each hit is in the ledger or set aside; returns the numbers of those that cannot be read yet."""
        try:
            return [hits[position][0] for position in await self._record_all([hit for _, hit in hits])]
        except (InvalidInput, InvalidToken) as exc:
            if len(hits) == 1:
                self._set_aside(*hits[0], exc)
                return []
            middle = len(hits) // 2
            return [*await self._record(hits[:middle]), *await self._record(hits[middle:])]

    def _keep(self, unread: list[int]) -> None:
        facts = {"action": "intake_unread", "entries": len(unread)}
        log.warning("entries stay in the journal until updated actors can read them", extra=facts)
        if not self._unread:
            loop = asyncio.get_running_loop()
            self._unread_timer = loop.call_later(self._limits.unknown_retry_s, self._send_unread)
        self._unread += unread

    def _send_unread(self) -> None:
        seqs, self._unread = self._unread, []
        task = asyncio.create_task(self._forward_unread(seqs), name="forwarder unread entries")
        self._batches.add(task)
        task.add_done_callback(self._batches.discard)

    async def _forward_unread(self, seqs: list[int]) -> None:
        """Sends these entries again, one batch at a time, beyond `in_flight`."""
        for first in range(0, len(seqs), self._limits.batch_hits):
            batch = seqs[first : first + self._limits.batch_hits]
            hits = [hit for seq in batch for hit in self._journal.read(seq - 1, 1) if hit[0] == seq]
            if len(hits) < len(batch):  # the disk cannot be read now
                self._keep(sorted(set(batch).difference(seq for seq, _ in hits)))
            if hits:
                await self._forward(hits, are_neighbours=False)
                self._batch_over.set()

    async def _record_all(self, hits: list[bytes]) -> list[int]:
        """Sends until acknowledged; only a batch that can never be recorded raises.

        Returns the positions of entries that only a newer version can read.
        """
        backoff_s = self._limits.first_backoff_s
        while True:
            try:
                await self._client.record_intake(hits)
            except (InvalidInput, InvalidToken):
                raise
            except UnknownIntake as exc:
                self._note(None)
                return exc.positions
            except FeedbackLoopsError as exc:
                self._note(f"{type(exc).__name__}: {exc}")
            except Exception as exc:
                log.exception("unexpected error while sending a batch", extra={"action": "batch_failed"})
                self._note(f"{type(exc).__name__}: {exc}")
            else:
                self._note(None)
                return []
            await asyncio.sleep(backoff_s * (0.5 + self._jitter()))
            backoff_s = min(2 * backoff_s, self._limits.last_backoff_s)

    def _set_aside(self, seq: int, hit: bytes, exc: FeedbackLoopsError) -> None:
        event_id = event_id_of(hit)
        facts = {"action": "hit_set_aside", "seq": seq, "event_id": event_id and id_text("evt", event_id)}
        log.error("hit set aside", extra={**facts, "error": str(exc)})
        self._instruments.set_aside.value += 1
        self._journal.set_aside(seq, hit)

    def _note(self, problem: str | None) -> None:
        self._instruments.failed.value += problem is not None
        if (problem is None) != (self._problem is None):
            action = "forwarding_recovered" if problem is None else "forwarding_failed"
            log.warning("forwarding state changed", extra={"action": action, "problem": problem})
        self._problem = problem

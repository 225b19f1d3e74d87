"""Forwarder of hits from the journal to the ledger: sends batches until they are acknowledged, then discards them."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, cast

from actors.commands.intake import RETURNED_MAIL, event_id_of, spool_name, with_mail
from actors.gateway.client import Client
from actors.metrics.instruments import HitInstruments
from api.journal.batches import Hits, first_alike, first_within
from api.journal.journal import Journal
from domain.errors import FeedbackLoopsError, InvalidInput, InvalidToken, UnknownIntake
from domain.values import id_text

log = logging.getLogger(__name__)

#: Returned mails that a task reads at once; with at most 64 KiB each, this bounds the memory.
MAILS_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class ForwarderLimits:
    """Batch sizes, concurrency and waiting times of the forwarder."""

    batch_hits: int = 256
    #: Below the size up to which Ray copies arguments into a call (100 KB). A larger hit is sent in a separate batch.
    batch_bytes: int = 90_000
    #: Maximum number of batches that are sent and not acknowledged.
    in_flight: int = 4
    #: Maximum number of batches of returned mails beyond `in_flight`: hits must not wait for slow parsing.
    mails_in_flight: int = 2
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
        #: Sequence numbers of returned mails that wait to be sent, and the tasks that send them.
        self._mails: deque[int] = deque()
        self._mail_tasks: set[asyncio.Task[None]] = set()
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
            self._mails.clear()
            self._mail_tasks.clear()
            self._slots = asyncio.Semaphore(self._limits.in_flight)
            self._runner = asyncio.create_task(self._run(), name="forwarder")

    async def stop(self, drain_s: float) -> None:
        """Forwards until the journal is empty, for at most `drain_s` seconds; the rest stays in the journal."""
        with suppress(TimeoutError):
            async with asyncio.timeout(drain_s):
                await self._drained()
        if self._unread_timer is not None:
            self._unread_timer.cancel()
        tasks = [task for task in (self._runner, *self._batches, *self._mail_tasks) if task is not None]
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
            if hits[0][1].startswith(RETURNED_MAIL):
                self._slots.release()
                self._send_mails(seq for seq, _ in hits)
                continue
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
                return first_alike(hits)
            # The disk cannot be read now; the journal retries.
            await asyncio.sleep(limits.first_backoff_s)

    def _over(self, batch: asyncio.Task[None]) -> None:
        self._batches.discard(batch)
        self._slots.release()
        self._batch_over.set()

    async def _forward(self, hits: Hits, *, are_neighbours: bool = True) -> None:
        """`are_neighbours`: the journal holds no other hit between the first and the last."""
        unread = await self._record(hits)
        if not unread and (are_neighbours or len(hits) == 1):
            file = spool_name(hits[0][1])  # only a batch of one has a file
            self._journal.discard(hits[0][0], hits[-1][0], file or None)
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

    def _send_mails(self, seqs: Iterable[int]) -> None:
        """Sends these returned mails soon. Only their numbers wait in memory."""
        self._mails.extend(seqs)
        if len(self._mail_tasks) < self._limits.mails_in_flight:
            task = asyncio.create_task(self._forward_mails(), name="forwarder mails")
            self._mail_tasks.add(task)

    async def _forward_mails(self) -> None:
        try:
            while self._mails:
                seqs = [self._mails.popleft() for _ in range(min(len(self._mails), MAILS_AT_ONCE))]
                await self._forward_numbers(seqs)
        finally:
            # At once, not in a callback of the task: mails that are added before it runs would wait for the next ones.
            self._mail_tasks.discard(cast(asyncio.Task[None], asyncio.current_task()))

    def _send_unread(self) -> None:
        seqs, self._unread = self._unread, []
        task = asyncio.create_task(self._forward_numbers(seqs), name="forwarder unread entries")
        self._batches.add(task)
        task.add_done_callback(self._batches.discard)

    async def _forward_numbers(self, seqs: list[int]) -> None:
        """Sends the entries with these numbers, one batch at a time, beyond `in_flight`."""
        for first in range(0, len(seqs), self._limits.batch_hits):
            batch = seqs[first : first + self._limits.batch_hits]
            hits = [hit for seq in batch for hit in self._journal.read(seq - 1, 1) if hit[0] == seq]
            if len(hits) < len(batch):  # the disk cannot be read now
                self._keep(sorted(set(batch).difference(seq for seq, _ in hits)))
            while hits:
                alike = first_within(first_alike(hits), self._limits.batch_bytes)
                hits = hits[len(alike) :]
                self._instruments.batch.observe(len(alike))
                await self._forward(alike, are_neighbours=False)
                self._batch_over.set()

    async def _record_all(self, hits: list[bytes]) -> list[int]:
        """Sends until acknowledged; only a batch that can never be recorded raises.

        Returns the positions of entries that only a newer version can read.
        """
        backoff_s = self._limits.first_backoff_s
        while True:
            try:
                await self._client.record_intake([await self._complete(hit) for hit in hits])
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

    async def _complete(self, entry: bytes) -> bytes:
        """The entry, with its mail if that is in a spool file. Without its file it is sent as it is."""
        name = spool_name(entry)
        mail = await asyncio.to_thread(self._journal.spool.read, name) if name else None
        return entry if mail is None else with_mail(entry, mail)

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

"""Fakes and fixtures for tests of loops: real collaborators where possible, with switches to make them fail."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from actors.adapters.clock import SystemClock
from actors.delivery.cpu_throttle import CpuThrottle
from actors.delivery.dependencies import DeliveryPolicy, DeliveryServices
from actors.delivery.prefetch_buffer import SharedBytes
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.writer import SQLiteLedgerWriter
from actors.ledger.writer import StoreWriter
from actors.ports import FetchedProof, HttpRequest, HttpResponse
from domain.account import Account
from domain.delivery import AttemptOutcome, LaneHealth, OfferedDelivery, ReplayProgress
from domain.errors import StoreUnavailable
from domain.feedback_loop import FeedbackLoop
from domain.ledger import domain_events, stored_events
from domain.retry import RetrySchedule
from domain.tracking import EventToRecord, RecordedEvents, ReportToRecord
from domain.values import id_text, id_uuid
from tests.loops import LOOP_ID, a_loop

ACCOUNT_ID = UUID(int=0xACC)
DELIVERED = HttpResponse(200, None, "", b"ok", None, "127.0.0.1", 0.001, 2)


def failed(status: int | None = 500, error: str | None = None, retry_after: str | None = None) -> HttpResponse:
    """A response that is not a success."""
    return HttpResponse(status, error, "", b"", retry_after, "127.0.0.1", 0.001)


class FixedRandom(random.Random):
    """Random numbers without jitter: every delay is exactly the schedule's."""

    def random(self) -> float:
        return 0.5


class ScriptedHttpClient:
    """An `HttpClient` that records every request, and responds with `answer` while the gate is open."""

    def __init__(self) -> None:
        self.requests: list[HttpRequest] = []
        self.answer: Callable[[HttpRequest], HttpResponse] = lambda _: DELIVERED
        self.gate = asyncio.Event()
        self.gate.set()
        self.under_way = 0
        self.most_under_way = 0
        self.is_closed = False

    async def post(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.gate.wait()
            return self.answer(request)
        finally:
            self.under_way -= 1

    async def close(self) -> None:
        self.is_closed = True

    @property
    def events(self) -> list[str]:
        """The `webhook-id` of each request, in order."""
        return [header(request, "webhook-id") for request in self.requests]


def header(request: HttpRequest, name: str) -> str:
    """The value of a header that occurs once."""
    (value,) = (v for k, v in request.headers if k == name)
    return value


class ScriptedProofFetcher:
    """A `ProofFetcher` with scripted files and records."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.records: dict[str, list[bytes]] = {}
        self.asked: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def fetch_file(self, url: str) -> FetchedProof:
        self.asked.append(url)
        await self.gate.wait()
        body = self.files.get(url)
        return FetchedProof(None, "404 Not Found") if body is None else FetchedProof(body, "a file")

    async def fetch_txt(self, name: str) -> list[FetchedProof]:
        self.asked.append(f"dns:{name}")
        records = self.records.get(name, [])
        return [FetchedProof(r, "a TXT record") for r in records] or [FetchedProof(None, "no TXT record")]


class SwitchedLedger:
    """The real ledger, with switches that make it fail."""

    def __init__(self, ledger: StoreWriter) -> None:
        self._ledger = ledger
        self.is_away = False
        #: Calls that failed for that reason.
        self.refusals = 0
        #: Whether `append` writes, but then fails as if the answer was lost.
        self.loses_answers = False
        self.before_append: Callable[[], Any] | None = None
        self.recorded: list[AttemptOutcome] = []
        self.batches: list[int] = []

    async def append(self, events: Sequence[StoredEvent]) -> None:
        self._fail_if_away()
        if self.before_append is not None:
            first, self.before_append = self.before_append, None
            await first()
        await self._ledger.append(events)
        if self.loses_answers:
            raise StoreUnavailable("the answer was lost")

    async def record_events(
        self, routes_version: int, events: Sequence[EventToRecord], reports: Sequence[ReportToRecord] = ()
    ) -> RecordedEvents:
        self._fail_if_away()
        return await self._ledger.record_events(routes_version, events, reports)

    async def record_outcomes(
        self, outcomes: Sequence[AttemptOutcome], health: tuple[int, LaneHealth] | None = None
    ) -> None:
        self._fail_if_away()
        await self._ledger.record_outcomes(outcomes, health)
        self.recorded.extend(outcomes)
        self.batches.append(len(outcomes))

    async def start_replay(self, loop_no: int, which: str, since_ms: int, until_ms: int) -> ReplayProgress:
        self._fail_if_away()
        return await self._ledger.start_replay(loop_no, which, since_ms, until_ms)

    async def advance_replay(self, replay_id: int, limit: int) -> ReplayProgress:
        self._fail_if_away()
        return await self._ledger.advance_replay(replay_id, limit)

    async def cancel_replay(self, replay_id: int) -> ReplayProgress:
        self._fail_if_away()
        return await self._ledger.cancel_replay(replay_id)

    async def retry_delivery(self, delivery_id: int) -> None:
        self._fail_if_away()
        await self._ledger.retry_delivery(delivery_id)

    def _fail_if_away(self) -> None:
        if self.is_away:
            self.refusals += 1
            raise StoreUnavailable("the ledger is away")


class WatchedReader(SQLiteLedgerReader):
    """The real reader, with a hook between reading the outbox and returning."""

    is_away = False
    after_read: Callable[[], None] | None = None
    reads = 0

    def due_deliveries(
        self, loop_no: int, now_ms: int, limit: int, skip: Collection[int], *, in_order: bool = False
    ) -> list[OfferedDelivery]:
        if self.is_away:
            raise StoreUnavailable("the ledger cannot be read")
        self.reads += 1
        found = super().due_deliveries(loop_no, now_ms, limit, skip, in_order=in_order)
        if self.after_read is not None:
            self.after_read()
        return found

    def has_failed(self, loop_no: int) -> bool:
        if self.is_away:
            raise StoreUnavailable("the ledger cannot be read")
        return super().has_failed(loop_no)

    def events_of(self, originator_id: UUID) -> Sequence[StoredEvent]:
        if self.is_away:
            raise StoreUnavailable("the ledger cannot be read")
        return super().events_of(originator_id)


@dataclass
class LoopFixture:
    """A real ledger with one account and one loop, and what else a runtime needs."""

    ledger: SwitchedLedger
    reader: WatchedReader
    loop_no: int
    loop_id: str
    clock: SystemClock = field(default_factory=SystemClock)
    http_client: ScriptedHttpClient = field(default_factory=ScriptedHttpClient)
    proof_fetcher: ScriptedProofFetcher = field(default_factory=ScriptedProofFetcher)
    events: int = 0

    async def owe(
        self, count: int = 1, fields: bytes = b'{"type":"open","tags":["a","b"]}', age_ms: int = 0
    ) -> list[OfferedDelivery]:
        """Records events for the loop, and returns them as enrichment would offer them."""
        now_ms = self.clock.now_ms() - age_ms
        events = []
        for _ in range(count):
            self.events += 1
            event_id = (now_ms << 80 | self.events).to_bytes(16, "big")
            events.append(EventToRecord(event_id, 1, "open", 0, None, now_ms, fields, [self.loop_no]))
        recorded = await self.ledger.record_events(self.reader.routing_table().version, events)
        return [
            OfferedDelivery(delivery_id, event.event_id, "open", fields, 0, now_ms)
            for event, (delivery_id,) in zip(events, recorded.delivery_ids, strict=True)
        ]

    def services(
        self,
        schedule: str = "0.05",
        *,
        timeout_s: float = 5.0,
        disable_after_s: float = 1e6,
        cpu_throttle: CpuThrottle | None = None,
    ) -> DeliveryServices:
        """Services for the loop, without jitter."""
        policy = DeliveryPolicy(RetrySchedule.parse(schedule), timeout_s, disable_after_s)
        return DeliveryServices(
            self.ledger, self.reader, self.http_client, self.clock, FixedRandom(), policy, SharedBytes(), cpu_throttle
        )

    def pending(self) -> int:
        """Pending deliveries of the loop in the ledger."""
        far_ms = self.clock.now_ms() + 10**12
        return len(SQLiteLedgerReader.due_deliveries(self.reader, self.loop_no, far_ms, 10**6, []))


async def make_active(fixture: LoopFixture) -> None:
    """Verifies the loop in the ledger."""
    uuid = id_uuid("fl", fixture.loop_id)
    assert uuid is not None
    loop = FeedbackLoop.from_events(domain_events(fixture.reader.events_of(uuid)))
    assert loop is not None
    loop.verify("a file", 1)
    await fixture.ledger.append(stored_events(loop))


@asynccontextmanager
async def loop_fixture(directory: Path, **settings: Any) -> AsyncIterator[LoopFixture]:
    """A fixture in `directory`; `settings` are the loop's."""
    path = directory / "ledger.sqlite"
    ledger = SQLiteLedgerWriter(path)
    reader = WatchedReader(path)
    now_ms = time.time_ns() // 1_000_000
    account = Account.open(ACCOUNT_ID, "Shop", now_ms)
    await ledger.append(stored_events(account))
    loop = a_loop(now_ms, account_id=id_text("acc", ACCOUNT_ID), **settings)
    await ledger.append(stored_events(loop))
    loop_id = id_text("fl", LOOP_ID)
    row = reader.loop(loop_id)
    assert row is not None
    try:
        yield LoopFixture(SwitchedLedger(ledger), reader, row.no, loop_id)
    finally:
        reader.close()
        await ledger.close()

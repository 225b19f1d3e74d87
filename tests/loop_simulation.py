"""A loop in virtual time, on the real ledger, with a scripted handler that records every POST."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from actors.adapters.resolver import HandlerResolver
from actors.delivery.attempt_telemetry import AttemptTelemetry
from actors.delivery.dependencies import CommandServices, DeliveryPolicy, DeliveryServices
from actors.delivery.loop_runtime import LoopRuntime
from actors.delivery.monotonic_clock import MonotonicWallClock
from actors.delivery.outbox_poller import OutboxPoller
from actors.delivery.prefetch_buffer import SharedBytes
from actors.ledger.sqlite.read_connection import SQLiteReadConnection
from actors.ports import HttpRequest, HttpResponse
from domain.delivery import OfferedDelivery
from domain.errors import StaleRoutes
from domain.handler_policy import HandlerPolicy
from domain.retry import RetrySchedule
from domain.tracking import EventToRecord, RecordedEvents
from tests.fakes import ScriptedProofFetcher, SwitchedLedger, WatchedReader, header, loop_fixture, make_active
from tests.keys import FixedKeys
from tests.virtual_time import VirtualClock, VirtualLedger, VirtualLoop

SCHEDULE: Final = "0,2,10,40"
TRIES: Final = 5
TIMEOUT_S: Final = 5.0

#: Responses of the handler by name. `hang`: none, until the timeout.
ANSWERS: Final[dict[str, HttpResponse]] = {
    "ok": HttpResponse(200, None, "", b"ok", None, "192.0.2.1", 0.01, 2),
    "slow": HttpResponse(200, None, "", b"ok", None, "192.0.2.1", 1.5, 2),
    "500": HttpResponse(500, None, "", b"", None, "192.0.2.1", 0.02),
    "422": HttpResponse(422, None, "", b"", None, "192.0.2.1", 0.02),
    "410": HttpResponse(410, None, "", b"", None, "192.0.2.1", 0.02),
    "429": HttpResponse(429, None, "", b"", "7", "192.0.2.1", 0.02),
    "connect": HttpResponse(None, "connect", "", b"", None, "192.0.2.1", 0.005),
    "disconnect": HttpResponse(None, "disconnect", "", b"", None, "192.0.2.1", 0.3),
    "hang": HttpResponse(None, "timeout", "", b"", None, "192.0.2.1", TIMEOUT_S),
}


def make_template(directory: Path) -> tuple[Path, str, int]:
    """Creates a ledger with one active loop; returns its file, and the loop's id and number."""

    async def make() -> tuple[str, int]:
        async with loop_fixture(directory) as simulation:
            await make_active(simulation)
            return simulation.loop_id, simulation.loop_no

    return directory / "ledger.sqlite", *asyncio.run(make())


@dataclass(eq=False)
class Post:
    """A POST as the handler sees it."""

    delivery_id: int
    begun_s: float
    incarnation: int
    is_probe: bool
    #: Responses that the handler had sent when it began.
    answers_before: int


class Handler:
    """An `HttpClient` for a scripted handler, which checks what the loop promises."""

    def __init__(self, simulation: LoopSimulation) -> None:
        self._simulation = simulation
        #: Names of the responses to the next POSTs, and to all later ones.
        self.next: deque[str] = deque()
        self.usual = "ok"
        self.under_way: set[Post] = set()
        self.answered = 0
        #: Times at which POSTs began under the current rate limit.
        self.starts: list[float] = []

    async def post(self, request: HttpRequest) -> HttpResponse:
        simulation = self._simulation
        delivery_id = simulation.delivery_of.get(header(request, "webhook-id"))
        if delivery_id is None:  # a sample
            return ANSWERS[self.usual]
        now_s = simulation.loop.time()
        post = Post(delivery_id, now_s, simulation.incarnation, simulation.breaker == "open", self.answered)
        try:
            simulation.check_start(post)
        except AssertionError as exc:
            simulation.broken.append(str(exc))
        self.under_way.add(post)
        self.starts.append(now_s)
        answer = ANSWERS[self.next.popleft() if self.next else self.usual]
        try:
            await asyncio.sleep(answer.duration_s)
        finally:
            self.under_way.discard(post)
        self.answered += 1
        if answer.status == 200:
            simulation.arrived[delivery_id] += 1
        return answer

    async def close(self) -> None: ...


class RevivalLedger(SwitchedLedger):
    """The ledger; notes which deliveries are retried, since these leave their place in the order."""

    def __init__(self, ledger: VirtualLedger, simulation: LoopSimulation) -> None:
        super().__init__(ledger)
        self._simulation = simulation

    async def retry_delivery(self, delivery_id: int) -> None:
        self._simulation.revived.add(delivery_id)
        await super().retry_delivery(delivery_id)


class LoopSimulation:
    """One loop's runtime with its handler and its ledger, and a record of its deliveries."""

    def __init__(self, path: Path, loop_id: str, loop_no: int, seed: int = 0) -> None:
        self.loop = VirtualLoop()
        #: Apply from the next restart on.
        self.schedule = SCHEDULE
        self.disable_after_s = 5 * 86_400.0
        self.loop_id, self.loop_no = loop_id, loop_no
        self.clock = VirtualClock(self.loop)
        self.reader = WatchedReader(path, self.clock)
        self._reading = SQLiteReadConnection(path)
        self._direct = VirtualLedger(path, self.clock, self._reading, self.revivals)
        self.ledger = RevivalLedger(self._direct, self)
        self._rng = random.Random(seed)
        self._look = sqlite3.connect(path, isolation_level=None)
        self.handler = Handler(self)
        self.delivery_of: dict[str, int] = {}
        #: Successful POSTs, and how many are allowed.
        self.arrived: Counter[int] = Counter()
        self.may_arrive: Counter[int] = Counter()
        self.revived: set[int] = set()
        self.late: list[OfferedDelivery] = []
        #: Broken promises; collected here because the lane treats exceptions of the client as failed attempts.
        self.broken: list[str] = []
        self.proof_fetcher = ScriptedProofFetcher()
        self.incarnation = 0
        self.may_post = True
        self.max_concurrency = 16
        self.rate_limit: float | None = None
        self.ordered = False
        self.runtime: LoopRuntime
        self.starting: asyncio.Task[None]
        self.run(self._begin())

    def run(self, work: Any) -> Any:
        """Runs a coroutine in virtual time, and fails if the lane broke a promise meanwhile."""
        answer = self.loop.run(work)
        assert not self.broken, self.broken
        return answer

    def call(self, act: Callable[[LoopRuntime], None]) -> None:
        """Calls a synchronous method of the runtime in the event loop."""

        async def call() -> None:
            act(self.runtime)

        self.run(call())

    # --- restarts

    async def _begin(self) -> None:
        async def look_up(_host: str) -> list[str]:
            return ["93.184.216.34"]

        self.incarnation += 1
        self.handler.under_way.clear()
        policy = DeliveryPolicy(RetrySchedule.parse(self.schedule), TIMEOUT_S, self.disable_after_s)
        services = DeliveryServices(
            self.ledger, self.reader, self.handler, self.clock, self._rng, policy, SharedBytes()
        )
        self.runtime = LoopRuntime(
            self.loop_id,
            services,
            AttemptTelemetry(self.loop_id),
            CommandServices(self.proof_fetcher, HandlerResolver(HandlerPolicy(()), look_up), FixedKeys()),
        )
        runtime = self.runtime
        self.starting = asyncio.create_task(runtime.start())
        OutboxPoller(
            self.reader, MonotonicWallClock(self.clock), lambda due, _: runtime.nudge() if due else None
        ).start()

    async def crash(self) -> None:
        """Ends the runtime as `kill -9` would, and starts another."""
        await self.loop.kill_others()
        for delivery_id, count in self.arrived.items():
            if count and self.state(delivery_id) != 1:
                self.may_arrive[delivery_id] = count + 1
        await self._begin()

    async def restart(self) -> None:
        """Stops the runtime, and starts another."""
        await self.runtime.stop(2.0)
        await self.crash()

    def close(self) -> None:
        """Releases everything."""

        async def end() -> None:
            await self.loop.kill_others()
            await self._direct._commits.close()

        self.loop.run(end())
        self.loop.close()
        self.reader.close()
        self._reading.close()
        self._look.close()

    # --- events and deliveries

    async def record(self, count: int) -> list[OfferedDelivery]:
        """Records events for the loop, even while the ledger is unavailable to it."""
        if not count:
            return []
        now_ms = self.clock.now_ms()
        ids = [(2**64 + len(self.delivery_of) + n).to_bytes(16, "big") for n in range(count)]
        events = [EventToRecord(i, 1, "open", 0, None, now_ms, b'{"type":"open"}', [self.loop_no]) for i in ids]
        recorded = await self._record(events)
        offers = []
        for event_id, (delivery_id,) in zip(ids, recorded.delivery_ids, strict=True):
            self.delivery_of[f"evt_{event_id.hex()}"] = delivery_id
            self.may_arrive[delivery_id] = 1
            offers.append(OfferedDelivery(delivery_id, event_id, "open", b'{"type":"open"}', 0, now_ms))
        return offers

    async def _record(self, events: list[EventToRecord]) -> RecordedEvents:
        """Records events with the routes of now, and again if the loop changes before the commit."""
        while True:
            try:
                return await self._direct.record_events(self.reader.routing_table().version, events)
            except StaleRoutes:
                continue

    def state(self, delivery_id: int) -> int:
        """The delivery's state in the ledger."""
        [(state,)] = self._look.execute("SELECT state FROM deliveries WHERE id = ?", (delivery_id,))
        return int(state)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of the ledger."""
        return self._look.execute(sql).fetchall()

    @contextmanager
    def revivals(self) -> Iterator[None]:
        """Notes the deliveries that become pending again in a transaction, as those of a replay do."""
        sql = "SELECT id FROM deliveries WHERE state <> 0"
        ended = {row[0] for row in self.rows(sql)}
        try:
            yield
        finally:
            for delivery_id in ended - {row[0] for row in self.rows(sql)}:
                self.revived.add(delivery_id)
                self.may_arrive[delivery_id] = self.arrived[delivery_id] + 1

    # --- promises, checked when a POST begins

    @property
    def breaker(self) -> str:
        delivery = self.runtime._delivery
        return "closed" if delivery is None else delivery.lane.health.breaker

    def check_start(self, post: Post) -> None:
        """Fails if this POST must not begin now."""
        others = self.handler.under_way
        assert self.may_post, "an inactive loop gets a POST"
        assert all(o.delivery_id != post.delivery_id for o in others), "two POSTs of one delivery are in flight"
        assert len(others) < self.max_concurrency, "more POSTs are in flight than the loop allows"
        assert self.arrived[post.delivery_id] < self.may_arrive[post.delivery_id], "a repeat without a crash"
        if self.rate_limit is not None:
            lately = [s for s in self.handler.starts if s > post.begun_s - 1 + 1e-6]
            assert len(lately) <= self.rate_limit, f"more than {self.rate_limit} + 1 starts in a second"
        if post.is_probe:
            probes = [o for o in others if o.is_probe and o.answers_before == self.handler.answered]
            assert not probes, "two probes are in flight"
        if self.ordered:
            assert not others, "an ordered loop has two POSTs in flight"
            self._check_order(post.delivery_id)

    def _check_order(self, delivery_id: int) -> None:
        assert self.runtime._delivery is not None
        lane = self.runtime._delivery.lane
        before = {i for (i,) in self.rows(f"SELECT id FROM deliveries WHERE state = 0 AND id < {delivery_id}")}
        skipped = {i for i in before - self.revived if not lane.is_in_flight(i)}
        assert not skipped, f"{delivery_id} goes before {skipped}"
        assert not lane._buffer.failed, "a later delivery overtook a failure that is not recorded yet"

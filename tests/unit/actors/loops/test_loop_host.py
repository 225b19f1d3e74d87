"""Loop host: its loops sleep until they have work, and are released only when nothing is in progress."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from actors.adapters.clock import SystemClock
from actors.commands.command import Command
from actors.commands.loops import VerifyLoop
from actors.delivery import outbox_poller
from actors.loops import loop_host as host_module
from actors.loops.loop_host import LoopHost
from actors.loops.orders import Order
from actors.ports import HttpClient
from domain.delivery import OfferedDelivery
from domain.errors import Moved, NotFound, NotMigrated, StoreUnavailable, Unavailable
from tests.fake_hosts import CountedRuntime, LoopsReader, as_reader
from tests.fakes import ScriptedHttpClient
from tests.loop_commands import GET_SECRET, VERIFY

OFFER = [OfferedDelivery(1, b"e" * 16, "open", b"{}", 0, 0)]


class GatedRuntime(CountedRuntime):
    """Fake runtime whose verification waits for a gate, and which may refuse to start."""

    failure: Exception | None = None

    def __init__(self, loop_id: str) -> None:
        super().__init__(loop_id)
        self.gate = asyncio.Event()

    async def start(self) -> None:
        if self.failure is not None:
            raise self.failure
        await super().start()

    async def handle(self, command: Command[Any]) -> Any:
        if not isinstance(command, VerifyLoop):
            return await super().handle(command)
        await self.gate.wait()
        return "verified"


class HostUnderTest:
    """A host and all runtimes that it ever made, by loop."""

    def __init__(self, max_awake: int) -> None:
        self.reader = LoopsReader()
        self.http_client = ScriptedHttpClient()
        self.runtimes: dict[str, list[GatedRuntime]] = {}
        self.sequence = 0
        self.host = LoopHost(
            incarnation="incarnation",
            node="node",
            make_runtime=self._make_runtime,
            reader=as_reader(self.reader),
            http_client=cast(HttpClient, self.http_client),
            clock=SystemClock(),
            max_awake=max_awake,
        )

    def _make_runtime(self, loop_id: str) -> GatedRuntime:
        self.runtimes.setdefault(loop_id, []).append(GatedRuntime(loop_id))
        return self.runtimes[loop_id][-1]

    def order(self) -> Order:
        self.sequence += 1
        return Order("incarnation", "supervisor", self.sequence)

    async def release(self, *loops: str, drain_s: float = 0.0) -> list[str]:
        return await self.host.release(self.order(), loops, drain_s)


@asynccontextmanager
async def a_host(*loops: str, max_awake: int = 10) -> AsyncIterator[HostUnderTest]:
    """A host with these loops."""
    CountedRuntime.reset()
    fixture = HostUnderTest(max_awake)
    fixture.host.status(fixture.order())
    fixture.host.start()
    await fixture.host.assign(fixture.order(), loops)
    try:
        yield fixture
    finally:
        await fixture.host.stop(0.1)
        assert CountedRuntime.doubles == []


async def until(check: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not check():
            await asyncio.sleep(0.001)


def run(scenario: Callable[[], Any]) -> None:
    asyncio.run(scenario())


def test_a_loop_sleeps_until_it_has_work() -> None:
    """An offer, a nudge, a command and a due delivery each wake their loop; the others stay asleep."""

    async def scenario() -> None:
        async with a_host("fl_offer", "fl_nudge", "fl_ask", "fl_due", "fl_none") as fixture:
            await asyncio.sleep(0.01)
            assert fixture.host.awake == 0

            fixture.host.offer("fl_offer", OFFER)
            fixture.host.offer("fl_nudge", ())
            assert await fixture.host.call("fl_ask", GET_SECRET) == "the secret of fl_ask"
            fixture.reader.due = ["fl_due", "fl_elsewhere"]
            fixture.host._poller.poll_now()
            await until(lambda: set(fixture.runtimes) == {"fl_offer", "fl_nudge", "fl_ask", "fl_due"})

            assert fixture.runtimes["fl_offer"][0].offers == OFFER
            assert fixture.runtimes["fl_nudge"][0].nudges == 1

    run(scenario)


def test_a_loop_on_another_host_is_not_started() -> None:
    """Its offers are dropped, and its commands fail with `Moved`."""

    async def scenario() -> None:
        async with a_host("fl_a") as fixture:
            fixture.host.offer("fl_b", OFFER)
            with pytest.raises(Moved, match="fl_b is in another process"):
                await fixture.host.call("fl_b", GET_SECRET)
            assert fixture.runtimes == {}

    run(scenario)


def test_a_loop_that_is_awake_and_due_is_nudged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each poll of the outbox nudges the awake loops that are due, and only these."""
    monkeypatch.setattr(outbox_poller, "EVERY_S", 0.01)

    async def scenario() -> None:
        async with a_host("fl_a", "fl_b") as fixture:
            for loop_id in ("fl_a", "fl_b"):
                fixture.host.offer(loop_id, OFFER)
            fixture.reader.due = ["fl_a"]
            await until(lambda: fixture.runtimes["fl_a"][0].nudges > 2)
            assert fixture.runtimes["fl_b"][0].nudges == 0

    run(scenario)


def test_a_loop_with_failed_deliveries_is_awake() -> None:
    """Its failure clock runs although nothing is due; it is not woken if too many are awake already."""

    async def scenario() -> None:
        async with a_host("fl_a", "fl_b", "fl_c", max_awake=2) as fixture:
            fixture.host.offer("fl_b", OFFER)
            fixture.reader.failing = ["fl_a", "fl_b", "fl_c", "fl_elsewhere"]
            await fixture.host.assign(fixture.order(), [])
            await until(lambda: fixture.host.awake == 2)
            await asyncio.sleep(0.05)
            assert fixture.host.awake == 2
            assert fixture.runtimes["fl_b"][0].nudges == 0

    run(scenario)


def test_polling_continues_after_the_ledger_was_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Due loops are found once the ledger can be read again."""
    monkeypatch.setattr(outbox_poller, "EVERY_S", 0.01)
    calls: list[int] = []

    async def scenario() -> None:
        async with a_host("fl_a") as fixture:

            def away(_now_ms: int) -> list[str]:
                calls.append(1)
                if len(calls) < 3:
                    raise StoreUnavailable("away")
                if len(calls) == 3:
                    raise RuntimeError("a bug")
                return ["fl_a"]

            monkeypatch.setattr(fixture.reader, "loops_due", away)
            await until(lambda: "fl_a" in fixture.runtimes)

    run(scenario)


def test_many_due_loops_are_woken_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are pauses between the steps; in the end all are awake."""
    monkeypatch.setattr(host_module, "WAKING_AT_ONCE", 3)
    monkeypatch.setattr(host_module, "WAKING_PAUSE_S", 0.02)
    loops = [f"fl_{n}" for n in range(8)]

    async def scenario() -> None:
        async with a_host(*loops) as fixture:
            fixture.reader.due = loops
            fixture.host._poller.poll_now()
            await until(lambda: fixture.host.awake > 0)
            assert fixture.host.awake == 3
            await until(lambda: fixture.host.awake == 8)

    run(scenario)


def test_idle_loops_are_put_to_sleep_when_too_many_are_awake() -> None:
    """The least recently used go first, loops at work stay, and the next offer wakes a sleeping loop again."""

    async def scenario() -> None:
        async with a_host("fl_a", "fl_b", "fl_c", "fl_d", max_awake=2) as fixture:
            CountedRuntime.working["fl_a"] = asyncio.Event()
            for loop_id in ("fl_a", "fl_b", "fl_c", "fl_d", "fl_b"):
                fixture.host.offer(loop_id, OFFER)
            await until(lambda: all(awake.started.done() for awake in fixture.host._awake._awake.values()))
            fixture.host._poller.poll_now()
            await until(lambda: fixture.host.awake == 2)
            assert set(fixture.host._awake) == {"fl_a", "fl_b"}

            fixture.host.offer("fl_c", OFFER)
            await until(lambda: len(fixture.runtimes["fl_c"]) == 2 and fixture.runtimes["fl_c"][1].is_alive)
            CountedRuntime.working.pop("fl_a").set()

    run(scenario)


def test_idle_loops_are_released_at_once_and_busy_ones_when_done() -> None:
    """Without time to drain only idle loops are released; with it, the others after their deliveries in progress."""

    async def scenario() -> None:
        async with a_host("fl_asleep", "fl_resting", "fl_working") as fixture:
            done = CountedRuntime.working["fl_working"] = asyncio.Event()
            fixture.host.offer("fl_resting", OFFER)
            fixture.host.offer("fl_working", OFFER)
            await until(lambda: fixture.runtimes["fl_resting"][0].is_alive)
            gone = await fixture.release("fl_asleep", "fl_resting", "fl_working", "fl_never_here")
            assert gone == ["fl_asleep", "fl_resting", "fl_never_here"]
            assert not fixture.runtimes["fl_resting"][0].is_alive

            going = asyncio.create_task(fixture.release("fl_working", drain_s=5.0))
            await asyncio.sleep(0.01)
            with pytest.raises(Moved):
                await fixture.host.call("fl_working", GET_SECRET)
            assert not going.done()
            done.set()
            assert await going == ["fl_working"]
            assert fixture.host.status(fixture.order()).loops == []

    run(scenario)


def test_awake_loops_forget_what_they_have_read() -> None:
    """After their commands have ended, because a retry may have read its delivery; others stay asleep."""

    async def scenario() -> None:
        async with a_host("fl_awake", "fl_asleep", "fl_busy") as fixture:
            fixture.host.offer("fl_awake", OFFER)
            command = asyncio.create_task(fixture.host.call("fl_busy", VERIFY))
            await until(lambda: set(fixture.runtimes) == {"fl_awake", "fl_busy"})
            forgetting = asyncio.create_task(fixture.host.forget_queued(["fl_awake", "fl_asleep", "fl_busy"]))
            await until(lambda: fixture.runtimes["fl_awake"][0].forgotten == 1)
            assert fixture.runtimes["fl_busy"][0].forgotten == 0
            fixture.runtimes["fl_busy"][0].gate.set()
            await forgetting
            await command

            assert fixture.runtimes["fl_busy"][0].forgotten == 1
            assert set(fixture.runtimes) == {"fl_awake", "fl_busy"}

    run(scenario)


def test_a_command_is_finished_before_its_loop_is_released() -> None:
    """It never runs while another process holds the loop. A command that takes too long keeps the loop here."""

    async def scenario() -> None:
        async with a_host("fl_a") as fixture:
            command = asyncio.create_task(fixture.host.call("fl_a", VERIFY))
            await until(lambda: "fl_a" in fixture.runtimes)
            assert await fixture.release("fl_a") == []
            assert await fixture.release("fl_a", drain_s=0.02) == []
            assert await fixture.host.call("fl_a", GET_SECRET) == "the secret of fl_a"

            going = asyncio.create_task(fixture.release("fl_a", drain_s=5.0))
            await asyncio.sleep(0.01)
            fixture.runtimes["fl_a"][0].gate.set()
            assert [await command, await going] == ["verified", ["fl_a"]]

    run(scenario)


def test_a_caller_that_gives_up_leaves_the_command_running() -> None:
    """It counts as in progress until it has ended."""

    async def scenario() -> None:
        async with a_host("fl_a") as fixture:
            command = asyncio.create_task(fixture.host.call("fl_a", VERIFY))
            await until(lambda: "fl_a" in fixture.runtimes)
            command.cancel()
            await asyncio.sleep(0.01)
            assert await fixture.release("fl_a") == []
            fixture.runtimes["fl_a"][0].gate.set()
            await until(lambda: not fixture.host._awake._awake["fl_a"].commands)
            assert await fixture.release("fl_a") == ["fl_a"]

    run(scenario)


def test_a_loop_reported_as_held_stays() -> None:
    """If a status during a release still lists the loop, it stays: the supervisor will assign it to no other host."""

    async def scenario() -> None:
        async with a_host("fl_a") as fixture:
            done = CountedRuntime.working["fl_a"] = asyncio.Event()
            fixture.host.offer("fl_a", OFFER)
            await until(lambda: "fl_a" in fixture.runtimes and fixture.runtimes["fl_a"][0].is_alive)
            going = asyncio.create_task(fixture.release("fl_a", drain_s=5.0))
            await asyncio.sleep(0.01)
            assert fixture.host.status(fixture.order()).loops == ["fl_a"]
            done.set()
            assert await going == []
            del CountedRuntime.working["fl_a"]
            assert await fixture.host.call("fl_a", GET_SECRET) == "the secret of fl_a"

    run(scenario)


@pytest.mark.parametrize(
    "order",
    [
        Order("incarnation", "supervisor", 1),
        Order("another incarnation", "supervisor", 99),
        Order("incarnation", "another", 99),
    ],
)
def test_outdated_orders_are_refused(order: Order) -> None:
    """Orders are refused if they precede the last status request, or belong to another incarnation or supervisor."""

    async def scenario() -> None:
        async with a_host("fl_a") as fixture:
            fixture.sequence = 5
            fixture.host.status(fixture.order())
            with pytest.raises(Moved):
                await fixture.host.assign(order, ["fl_b"])
            with pytest.raises(Moved):
                await fixture.host.release(order, ["fl_a"], 0.0)
            assert fixture.host.status(fixture.order()) == ("incarnation", "node", ["fl_a"])

    run(scenario)


def test_a_heartbeat_is_for_one_incarnation(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends after a while, and at once for another incarnation of the process."""
    monkeypatch.setattr(host_module, "HEARTBEAT_S", 0.01)

    async def scenario() -> None:
        async with a_host() as fixture:
            await fixture.host.heartbeat("incarnation")
            with pytest.raises(Moved):
                await fixture.host.heartbeat("the one before")

    run(scenario)


def test_a_loop_that_cannot_start_reports_why_and_is_tried_again() -> None:
    """The command fails with the reason, and the next one starts the loop again."""

    async def scenario() -> None:
        async with a_host("fl_a") as fixture:
            GatedRuntime.failure = NotFound("there is no feedback loop fl_a")
            with pytest.raises(NotFound):
                await fixture.host.call("fl_a", GET_SECRET)
            GatedRuntime.failure = None
            assert await fixture.host.call("fl_a", GET_SECRET) == "the secret of fl_a"

    try:
        run(scenario)
    finally:
        GatedRuntime.failure = None


def test_stopping_waits_for_loops_at_work() -> None:
    """Their deliveries in progress finish, then the shared HTTP client is closed."""

    async def scenario() -> None:
        async with a_host("fl_a") as fixture:
            done = CountedRuntime.working["fl_a"] = asyncio.Event()
            fixture.host.offer("fl_a", OFFER)
            await until(lambda: "fl_a" in fixture.runtimes and fixture.runtimes["fl_a"][0].is_alive)
            stopping = asyncio.create_task(fixture.host.stop(5.0))
            await asyncio.sleep(0.01)
            assert not stopping.done()
            done.set()
            await stopping
            assert (fixture.runtimes["fl_a"][0].is_alive, fixture.http_client.is_closed) == (False, True)

    run(scenario)


def test_a_host_accepts_no_loops_until_the_ledger_is_migrated() -> None:
    """Loops stay with hosts that can read the ledger. A store that is down does not count, and a success is final."""
    failures: list[Exception] = [
        NotMigrated("the ledger is at schema version 4 and not migrated to 5 yet"),
        StoreUnavailable("away"),
    ]

    class Reader(LoopsReader):
        asked = 0

        def newest_delivery_id(self) -> int:
            self.asked += 1
            if failures:
                raise failures.pop(0)
            return 0

    async def scenario() -> None:
        async with a_host() as fixture:
            reader = Reader()
            fixture.host._reader = as_reader(reader)
            with pytest.raises(Unavailable, match="not migrated"):
                await fixture.host.check_reading()
            for _ in range(4):
                await fixture.host.check_reading()
            assert reader.asked == 3

    asyncio.run(scenario())

"""The delivery lane, on the real ledger."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from standardwebhooks import Webhook

from actors.adapters.http_client import PinnedHttpClient
from actors.adapters.resolver import HandlerResolver
from actors.delivery import prefetch_buffer
from actors.delivery.cpu_throttle import MAX_REST_S, PIECES, SHARE, CpuThrottle
from actors.delivery.lane import Lane
from actors.delivery.lane_config import LaneConfig
from actors.delivery.monotonic_clock import MonotonicWallClock
from actors.delivery.outbox_poller import OutboxPoller
from actors.delivery.scheduler import LATE_MS
from actors.delivery.telemetry import AttemptTelemetry
from actors.ports import HttpRequest, HttpResponse
from actors.version import USER_AGENT
from domain.breaker import FAILURES_TO_OPEN
from domain.delivery import LaneHealth
from domain.handler_policy import HandlerPolicy, parse_networks
from domain.loop_settings import LoopSettings
from domain.signing import SigningSecret, secret_text
from domain.values import DeliveryState
from tests.fakes import DELIVERED, World, a_world, failed, header, make_active
from tests.raw_handler import answering, eventually, raw_handler

SECRET = SigningSecret(b"0123456789abcdefghijklmn", None)


def config(
    url: str = "https://example.com/x.php", secrets: tuple[SigningSecret, ...] = (SECRET,), **settings: Any
) -> LaneConfig:
    ordinary = {"triggers": ["open"], "max_concurrency": 4}
    return LaneConfig("fl_1", "acc_1", url, LoopSettings.of(ordinary | settings), secrets)


@asynccontextmanager
async def a_lane(
    directory: Path, *, schedule: str = "0.05", buffer_size: int = 1000, disable_after_s: float = 1e6, **changes: Any
) -> AsyncIterator[tuple[Lane, World, list[str]]]:
    """A lane that works, its world, and the reasons it gave for giving up."""
    reasons: list[str] = []
    async with a_world(directory) as world:
        lane = make_lane(world, reasons, schedule, buffer_size, disable_after_s, **changes)
        lane.start()
        lane.resume()
        try:
            yield lane, world, reasons
        finally:
            world.ledger.is_away = False
            world.http_client.gate.set()
            await lane.stop(2.0)


def make_lane(
    world: World,
    reasons: list[str],
    schedule: str = "0.05",
    buffer_size: int = 1000,
    disable_after_s: float = 1e6,
    cpu_throttle: CpuThrottle | None = None,
    **changes: Any,
) -> Lane:
    return Lane(
        world.loop_no,
        config(**changes),
        world.services(schedule, disable_after_s=disable_after_s, cpu_throttle=cpu_throttle),
        AttemptTelemetry("fl_1"),
        reasons.append,
        health=LaneHealth(),
        newest_before=0,
        buffer_size=buffer_size,
    )


async def settled(world: World, lane: Lane) -> None:
    """Returns when nothing is pending and nothing in hand."""
    await eventually(lambda: lane.buffered == 0 and world.pending() == 0)


# --- what is sent


def test_a_post(tmp_path: Path) -> None:
    """A handler gets the fields as a form, and every header of the contract once."""

    async def main() -> None:
        async with a_lane(tmp_path) as (lane, world, _):
            lane.offer(await world.owe())
            await settled(world, lane)
            (request,) = world.http_client.requests
            names = sorted(name for name, _ in request.headers)

            assert names == sorted(
                [
                    "User-Agent",
                    "X-Feedback-Loop",
                    "X-Account",
                    "Content-Type",
                    "Date",
                    "webhook-id",
                    "webhook-timestamp",
                    "webhook-signature",
                ]
            )
            assert parse_qsl(request.body.decode()) == [("type", "open"), ("tags[]", "a"), ("tags[]", "b")]
            assert header(request, "User-Agent") == USER_AGENT
            assert header(request, "X-Feedback-Loop") == "fl_1"
            assert header(request, "X-Account") == "acc_1"
            assert header(request, "Content-Type") == "application/x-www-form-urlencoded"
            assert header(request, "Date").endswith(" GMT")
            assert (request.url, request.timeout_s) == ("https://example.com/x.php", 5.0)
            assert header(request, "webhook-id").startswith("evt_")
            (outcome,) = world.ledger.recorded
            assert outcome[1:2] + outcome[4:] == (1, 200, None, "ok", "127.0.0.1", DeliveryState.DELIVERED, 0, 2, 0, "")

    asyncio.run(main())


def test_json_and_signatures(tmp_path: Path) -> None:
    """A JSON loop gets the same names as one object; the signatures of both secrets verify while they overlap."""

    async def main() -> None:
        fields = '{"type":"open","fields":{"name":"Zoë"},"tags":[]}'.encode()
        former = SigningSecret(b"nmlkjihgfedcba9876543210", 2**62)
        expired = SigningSecret(b"x" * 24, 1)
        secrets = (SECRET, former, expired)
        async with a_lane(tmp_path, format="json", secrets=secrets) as (lane, world, _):
            lane.offer(await world.owe(fields=fields))
            await settled(world, lane)
            (request,) = world.http_client.requests

            assert request.body == fields
            assert header(request, "Content-Type") == "application/json"
            assert len(header(request, "webhook-signature").split(" ")) == 2
            for secret in (SECRET, former):
                Webhook(secret_text(secret.secret)).verify(request.body, dict(request.headers))
            with pytest.raises(Exception, match="No matching signature"):
                Webhook(secret_text(expired.secret)).verify(request.body, dict(request.headers))

    asyncio.run(main())


# --- at least once, and not twice


def test_everything_owed_is_delivered_once(tmp_path: Path) -> None:
    """A backlog larger than the lane, half of it offered, comes through complete, each event once."""

    async def main() -> None:
        async with a_lane(tmp_path, buffer_size=20) as (lane, world, _):
            for _ in range(10):
                offers = await world.owe(30)
                lane.offer(offers[:15])

                assert lane.buffered <= 20
            await settled(world, lane)

            assert len(world.http_client.events) == len(set(world.http_client.events)) == 300
            assert world.http_client.most_under_way <= 4

    asyncio.run(main())


def test_the_outbox_is_found_without_an_offer(tmp_path: Path) -> None:
    """A lane that starts delivers what the outbox holds; one that runs has it looked into, though nobody offers."""

    async def main() -> None:
        async with a_world(tmp_path) as world:
            await world.owe(3)
            lane = make_lane(world, [])
            lane.start()
            lane.resume()
            await settled(world, lane)
            watch = OutboxPoller(
                world.reader, MonotonicWallClock(world.clock), lambda due: lane.nudge() if due else None
            )
            watch.start()
            await make_active(world)
            await world.owe(2)
            await settled(world, lane)
            await watch.stop()
            await lane.stop(1.0)

            assert len(world.http_client.requests) == 5

    asyncio.run(main())


def test_nudge(tmp_path: Path) -> None:
    """A nudge has the outbox read at once."""

    async def main() -> None:
        async with a_lane(tmp_path) as (lane, world, _):
            await eventually(lambda: world.reader.reads > 0)
            await world.owe(1)
            lane.nudge()
            await eventually(lambda: len(world.http_client.requests) == 1, 0.5)

    asyncio.run(main())


def test_offers_that_come_late(tmp_path: Path) -> None:
    """An offer that arrives after the delivery came out of the outbox and was recorded is not POSTed again."""

    async def main() -> None:
        async with a_lane(tmp_path) as (lane, world, _):
            offers = await world.owe(5)
            lane.nudge()
            await settled(world, lane)
            lane.offer(offers)
            lane.offer(offers)
            await settled(world, lane)

            assert len(world.http_client.requests) == 5

    asyncio.run(main())


def test_reads_that_come_late(tmp_path: Path) -> None:
    """What was read from the outbox just before its outcome was recorded is not POSTed again."""

    async def main() -> None:
        async with a_lane(tmp_path) as (lane, world, _):
            await eventually(lambda: world.reader.reads > 0)
            offers = await world.owe(5)
            loop = asyncio.get_running_loop()

            def deliver_meanwhile() -> None:
                world.reader.after_read = None

                async def deliver() -> None:
                    lane.offer(offers)
                    await eventually(lambda: len(world.ledger.recorded) == 5)

                asyncio.run_coroutine_threadsafe(deliver(), loop).result(5)

            world.reader.after_read = deliver_meanwhile
            lane.nudge()
            await settled(world, lane)
            await eventually(lambda: world.reader.after_read is None)
            reads = world.reader.reads
            lane.nudge()
            await eventually(lambda: world.reader.reads > reads)
            await settled(world, lane)

            assert len(world.http_client.requests) == 5

    asyncio.run(main())


def test_outcomes_wait_for_the_ledger(tmp_path: Path) -> None:
    """While outcomes cannot be recorded no attempt begins, so that few are to be repeated if the process dies now."""

    async def main() -> None:
        async with a_lane(tmp_path, buffer_size=10) as (lane, world, _):
            offers = await world.owe(30)
            world.ledger.is_away = True
            lane.offer(offers[:3])
            await eventually(lambda: world.ledger.refusals > 0)
            posted = len(world.http_client.requests)
            lane.offer(offers)
            lane.nudge()
            await eventually(lambda: world.ledger.refusals > 3)

            assert len(world.http_client.requests) == posted
            assert lane.buffered <= 10

            world.ledger.is_away = False
            await settled(world, lane)

            assert len(set(world.http_client.events)) == len(world.http_client.events) == 30

    asyncio.run(main())


def test_a_retry_by_hand_does_not_wait_for_the_breaker(tmp_path: Path) -> None:
    """Though the handler asked for an hour, the delivery is attempted at once, before all others; then all go on."""

    async def main() -> None:
        async with a_lane(tmp_path, buffer_size=12) as (lane, world, _):
            world.http_client.answer = lambda _: failed(503)._replace(retry_after="3600")
            old = await world.owe(FAILURES_TO_OPEN + 20)
            lane.offer(old)
            await eventually(lambda: lane.health.breaker == "open" and world.pending() == len(old))
            lane.nudge()
            await eventually(lambda: lane.buffered > 1)
            world.http_client.answer = lambda _: DELIVERED
            chosen = next(d for d in reversed(old) if not lane.is_in_flight(d.delivery_id))
            before = len(world.http_client.requests)
            lane.retry_now(chosen._replace(due_at_ms=world.clock.now_ms()))
            await eventually(lambda: len(world.http_client.requests) > before)

            assert world.http_client.events[before] == f"evt_{chosen.event_id.hex()}"
            await eventually(lambda: lane.health.breaker == "closed")

    asyncio.run(main())


def test_outcomes_are_recorded_in_batches(tmp_path: Path) -> None:
    """A few commits record what hundreds of POSTs came to."""

    async def main() -> None:
        async with a_lane(tmp_path, max_concurrency=16) as (lane, world, _):
            lane.offer(await world.owe(600))
            await settled(world, lane)

            assert len(world.ledger.recorded) == 600
            assert len(world.ledger.batches) <= 60
            assert max(world.ledger.batches) <= 256

    asyncio.run(main())


# --- retries


def test_retries(tmp_path: Path) -> None:
    """A failure is tried again on the schedule with the same event id, until it is delivered."""

    async def main() -> None:
        async with a_lane(tmp_path, schedule="0.05,0.1") as (lane, world, _):
            answers = iter([failed(500), failed(None, "timeout"), DELIVERED])
            world.http_client.answer = lambda _: next(answers)
            lane.offer(await world.owe())
            await settled(world, lane)

            assert len(set(world.http_client.events)) == 1
            assert [o.attempt_no for o in world.ledger.recorded] == [1, 2, 3]
            assert [o.error for o in world.ledger.recorded] == ["status", "timeout", None]
            first, second, third = (o.at_ms for o in world.ledger.recorded)
            assert (second - first, third - second) >= (50, 100)

    asyncio.run(main())


def test_dead(tmp_path: Path) -> None:
    """After the last try a delivery is dead, and is not tried again."""

    async def main() -> None:
        async with a_lane(tmp_path, schedule="0.01") as (lane, world, _):
            world.http_client.answer = lambda _: failed(302)
            lane.offer(await world.owe())
            await settled(world, lane)

            assert [(o.error, o.state) for o in world.ledger.recorded] == [("redirect", 0), ("redirect", 2)]

    asyncio.run(main())


def test_far_retries_are_not_held(tmp_path: Path) -> None:
    """A delivery whose retry is far off, and one offered before its time, leave the lane's memory."""

    async def main() -> None:
        async with a_lane(tmp_path, schedule="3600") as (lane, world, _):
            world.http_client.answer = lambda _: failed(503, retry_after="7200")
            offers = await world.owe(3)
            lane.offer(offers)
            await eventually(lambda: len(world.ledger.recorded) == 3 and lane.buffered == 0)
            lane.offer([offers[0]._replace(delivery_id=99, due_at_ms=world.clock.now_ms() + 3_600_000)])

            assert lane.buffered == 0
            assert world.pending() == 3
            assert all(o.due_at_ms - o.at_ms >= 7_200_000 for o in world.ledger.recorded)

    asyncio.run(main())


def test_what_cannot_be_sent(tmp_path: Path) -> None:
    """Fields that are no JSON end as dead, with a word for it, and stop nobody else."""

    async def main() -> None:
        async with a_lane(tmp_path, schedule="0.01", max_concurrency=1) as (lane, world, _):
            world.reader.is_away = True  # it would give them as they were recorded
            poison, good = await world.owe(2)
            lane.offer([poison._replace(fields=b"{"), good])
            await eventually(lambda: len(world.ledger.recorded) >= 2)

            assert {o.delivery_id: o.error for o in world.ledger.recorded[:2]} == {
                poison.delivery_id: "internal",
                good.delivery_id: None,
            }

    asyncio.run(main())


@pytest.mark.parametrize("ordered", [False, True])
def test_what_is_too_large_is_dead_at_once(tmp_path: Path, ordered: bool) -> None:
    """An event whose form is larger than a POST may be is dead after one attempt, and tells nothing of the handler."""
    too_large = b'{"fields":{"' + b"k" * 40_000 + b'":[1' + b",1" * 1500 + b"]}}"

    async def main() -> None:
        async with a_lane(tmp_path, schedule="0.01,0.01", max_concurrency=1, ordered=ordered) as (lane, world, _):
            poison = await world.owe(FAILURES_TO_OPEN, too_large)
            [good] = await world.owe()
            lane.offer([*poison, good])
            await eventually(lambda: len(world.ledger.recorded) == len(poison) + 1)

            assert {(o.delivery_id, o.error, o.state, o.attempt_no) for o in world.ledger.recorded} == {
                *((p.delivery_id, "event_too_large", DeliveryState.DEAD, 1) for p in poison),
                (good.delivery_id, None, DeliveryState.DELIVERED, 1),
            }
            assert len(world.http_client.requests) == 1
            assert lane.health.breaker == "closed"

    asyncio.run(main())


# --- giving up


def test_410_stops_the_lane(tmp_path: Path) -> None:
    """410 is dead at once, asks for the loop to be disabled, once, and nothing else is POSTed."""

    async def main() -> None:
        async with a_lane(tmp_path, max_concurrency=2) as (lane, world, reasons):
            world.http_client.answer = lambda _: failed(410)
            lane.offer(await world.owe(10))
            await eventually(lambda: lane.buffered == 0)

            assert len(reasons) == 1
            assert "410" in reasons[0]
            assert 1 <= len(world.http_client.requests) <= 2
            assert {o.state for o in world.ledger.recorded} == {DeliveryState.DEAD}
            assert world.pending() == 10 - len(world.ledger.recorded)

            world.http_client.answer = lambda _: DELIVERED
            lane.resume()
            await settled(world, lane)

    asyncio.run(main())


def test_failures_alone_for_too_long(tmp_path: Path) -> None:
    """A handler that has done nothing but fail for the time allowed is given up; one success begins it anew."""

    async def main() -> None:
        async with a_lane(tmp_path, schedule="0.05,0.05,0.05,0.05,0.05", disable_after_s=0.15) as (
            lane,
            world,
            reasons,
        ):
            answers = iter([failed(), failed(), DELIVERED])
            world.http_client.answer = lambda _: next(answers)
            lane.offer(await world.owe())
            await settled(world, lane)

            assert reasons == []

            world.http_client.answer = lambda _: failed()
            lane.offer(await world.owe())
            await eventually(lambda: len(reasons) == 1)

            assert "failed" in reasons[0]
            assert world.pending() == 1

    asyncio.run(main())


# --- the loop's wishes


def test_pause_and_resume(tmp_path: Path) -> None:
    """A paused lane lets attempts under way finish and begins none; the rest waits in the outbox for resume."""

    async def main() -> None:
        async with a_lane(tmp_path) as (lane, world, _):
            world.http_client.gate.clear()
            lane.offer(await world.owe(20))
            await eventually(lambda: world.http_client.under_way == 4)
            lane.pause()

            assert lane.buffered == 4

            world.http_client.gate.set()
            lane.offer(await world.owe(5))
            await eventually(lambda: len(world.ledger.recorded) == 4)

            assert len(world.http_client.requests) == 4
            assert lane.buffered == 0

            lane.resume()
            await settled(world, lane)

            assert len(world.http_client.requests) == 25

    asyncio.run(main())


def test_update(tmp_path: Path) -> None:
    """A new URL and concurrency hold from the next attempt on, more workers as well as fewer."""

    async def main() -> None:
        async with a_lane(tmp_path, max_concurrency=1) as (lane, world, _):
            world.http_client.gate.clear()
            lane.offer(await world.owe(30))
            await eventually(lambda: world.http_client.under_way == 1)
            lane.update(config(max_concurrency=8, url="https://example.com/new"))
            await eventually(lambda: world.http_client.under_way == 8)

            assert {r.url for r in world.http_client.requests[1:]} == {"https://example.com/new"}

            lane.update(config(max_concurrency=2))
            world.http_client.gate.set()
            await settled(world, lane)
            world.http_client.gate.clear()
            lane.offer(await world.owe(30))
            await eventually(lambda: world.http_client.under_way == 2)
            world.http_client.most_under_way = 0
            world.http_client.gate.set()
            await settled(world, lane)

            assert world.http_client.most_under_way <= 2

    asyncio.run(main())


def test_rate_limit(tmp_path: Path) -> None:
    """A loop that wants 50 POSTs a second gets about that, whatever its concurrency."""

    async def main() -> None:
        async with a_lane(tmp_path, rate_limit=50.0) as (lane, world, _):
            begun_s = world.clock.monotonic_s()
            lane.offer(await world.owe(25))
            await settled(world, lane)
            took_s = world.clock.monotonic_s() - begun_s

            assert 0.4 < took_s < 2.0

    asyncio.run(main())


@pytest.mark.parametrize("buffer_size", [1000, 4])
def test_ordered(tmp_path: Path, buffer_size: int) -> None:
    """An ordered lane has one POST under way, and a failure holds the others back until it is delivered or dead."""

    async def main() -> None:
        async with a_lane(tmp_path, ordered=True, schedule="0.03,0.03", buffer_size=buffer_size) as (lane, world, _):
            failing = iter([False, True, False, False, True, True, True])
            world.http_client.answer = lambda _: failed() if next(failing, False) else DELIVERED
            offers = await world.owe(10)
            lane.offer(offers[:5])
            lane.offer(offers[5:])
            await settled(world, lane)
            ids = [f"evt_{o.event_id.hex()}" for o in offers]
            expected = [ids[0], ids[1], ids[1], ids[2], ids[3], ids[3], ids[3], *ids[4:]]

            assert world.http_client.events == expected
            assert world.http_client.most_under_way == 1

    asyncio.run(main())


def test_ordered_and_paused(tmp_path: Path) -> None:
    """Pausing an ordered lane leaves the failed delivery to the outbox, and resuming finds it there."""

    async def main() -> None:
        async with a_lane(tmp_path, ordered=True, schedule="0.5") as (lane, world, _):
            world.http_client.answer = lambda _: failed()
            lane.offer(await world.owe(3))
            await eventually(lambda: len(world.ledger.recorded) == 1)
            lane.pause()
            await eventually(lambda: lane.buffered == 0)
            world.http_client.answer = lambda _: DELIVERED
            lane.resume()
            await settled(world, lane)

            assert len(set(world.http_client.events)) == 3
            assert len(world.http_client.events) == 4

    asyncio.run(main())


# --- the end


def test_stop_lets_attempts_land(tmp_path: Path) -> None:
    """Stopping records what was under way, and begins nothing else."""

    async def main() -> None:
        async with a_lane(tmp_path) as (lane, world, _):
            world.http_client.gate.clear()
            lane.offer(await world.owe(20))
            await eventually(lambda: world.http_client.under_way == 4)
            stopping = asyncio.create_task(lane.stop(2.0))
            await asyncio.sleep(0)
            world.http_client.gate.set()
            await stopping

            assert (len(world.http_client.requests), len(world.ledger.recorded), world.pending()) == (4, 4, 16)

            lane.resume()
            lane.offer(await world.owe(1))
            assert lane.buffered == 0

    asyncio.run(main())


def test_stop_does_not_wait_for_ever(tmp_path: Path) -> None:
    """A handler that hangs, and a ledger that is away, hold the end up no longer than they may."""

    async def main() -> None:
        async with a_lane(tmp_path, max_concurrency=1) as (lane, world, _):
            offers = await world.owe(2)
            world.ledger.is_away = True

            def answer_and_hang(_request: HttpRequest) -> HttpResponse:
                world.http_client.gate.clear()
                return DELIVERED

            world.http_client.answer = answer_and_hang
            lane.offer(offers)
            await eventually(lambda: len(world.http_client.requests) == 2)
            begun_s = world.clock.monotonic_s()
            await lane.stop(0.3)

            assert world.clock.monotonic_s() - begun_s < 2
            assert world.http_client.under_way == 0
            assert world.pending() == 2

    asyncio.run(main())


def test_the_outbox_cannot_be_read_for_a_while(tmp_path: Path) -> None:
    """A reader that fails is asked again, when the watch finds that something is due."""

    async def main() -> None:
        async with a_world(tmp_path) as world:
            await world.owe(3)
            world.reader.is_away = True
            lane = make_lane(world, [])
            watch = OutboxPoller(
                world.reader, MonotonicWallClock(world.clock), lambda due: lane.nudge() if due else None
            )
            watch.start()
            lane.start()
            lane.resume()
            lane.offer(await world.owe(1))
            await eventually(lambda: len(world.ledger.recorded) == 1)
            world.reader.is_away = False
            watch.poll_now()
            await settled(world, lane)
            await watch.stop()
            await lane.stop(1.0)

            assert len(world.http_client.requests) == 4

    asyncio.run(main())


def test_a_backlog_rests_and_live_events_do_not(tmp_path: Path) -> None:
    """While a busy process lets what is old rest, live events go out; the old goes on by itself afterwards."""
    now_s, used_s = 0.0, itertools.chain([0.0], itertools.repeat(MAX_REST_S * SHARE))

    async def main() -> None:
        nonlocal now_s
        async with a_world(tmp_path) as world:
            await world.owe(2 * PIECES, age_ms=LATE_MS + 1000)
            cpu_throttle = CpuThrottle(lambda: now_s, lambda: next(used_s))
            lane = make_lane(world, [], max_concurrency=1, cpu_throttle=cpu_throttle)
            lane.start()
            lane.resume()
            await eventually(lambda: len(world.http_client.requests) == PIECES - 1)
            fresh = await world.owe()
            lane.offer(fresh)
            await eventually(lambda: len(world.http_client.requests) == PIECES)

            assert world.http_client.events[-1] == f"evt_{fresh[0].event_id.hex()}"

            now_s += MAX_REST_S
            await settled(world, lane)
            await lane.stop(1.0)

            assert len(set(world.http_client.events)) == len(world.http_client.events) == 2 * PIECES + 1

    asyncio.run(main())


def test_a_burst_never_rests_though_it_went_through_the_outbox(tmp_path: Path) -> None:
    """Events of the last seconds are live, also those for which the lane had no room when they were offered."""

    async def main() -> None:
        async with a_world(tmp_path) as world:
            await world.owe(4 * PIECES)
            used_s = itertools.count(0.0, 10.0)
            lane = make_lane(world, [], max_concurrency=1, cpu_throttle=CpuThrottle(lambda: 0.0, lambda: next(used_s)))
            lane.start()
            lane.resume()
            await settled(world, lane)
            await lane.stop(1.0)

            assert len(set(world.http_client.events)) == 4 * PIECES

    asyncio.run(main())


def test_large_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is in hand is bounded in bytes, too; an event larger than the bound still goes out, alone."""

    async def main() -> None:
        monkeypatch.setattr(prefetch_buffer, "MAX_BYTES", 5000)
        fields = b'{"mime":"' + b"x" * 1000 + b'"}'
        huge = b'{"mime":"' + b"x" * 5000 + b'"}'
        async with a_world(tmp_path) as world:
            world.http_client.gate.clear()
            owed = [*await world.owe(5, fields), *await world.owe(1, huge), *await world.owe(2, fields)]
            lane = make_lane(world, [], max_concurrency=1)
            lane.start()
            lane.resume()
            await eventually(lambda: lane.buffered == 2)  # out of the outbox; a half of the bound takes no more
            lane.offer(owed)

            assert lane.buffered == 4

            world.http_client.gate.set()
            await settled(world, lane)
            await lane.stop(1.0)

            assert len(set(world.http_client.events)) == len(world.http_client.events) == 8

    asyncio.run(main())


# --- with the real HTTP client


def test_over_real_connections(tmp_path: Path) -> None:
    """The lane and the real HTTP client deliver to a real handler over as many connections as allowed, all recorded."""

    async def main() -> None:
        ok = b"HTTP/1.1 200 OK\r\nX-Odd: \xff[2\r\nContent-Length: 3\r\n\r\n\x1b[1"
        async with a_world(tmp_path) as world, raw_handler(answering(ok)) as handler:
            http_client = PinnedHttpClient(HandlerResolver(HandlerPolicy(parse_networks("127.0.0.0/8"))))
            world.http_client = http_client  # type: ignore[assignment]
            lane = make_lane(world, [], url=handler.url())
            lane.start()
            lane.resume()
            lane.offer(await world.owe(100))
            await settled(world, lane)
            await lane.stop(1.0)
            await http_client.close()

            assert len(handler.requests) == 100
            assert handler.connections <= 4
            assert {(o.status, o.excerpt, o.address) for o in world.ledger.recorded} == {(200, "�[1", "127.0.0.1")}
            assert {o.response_headers for o in world.ledger.recorded} == {"X-Odd: �[2\nContent-Length: 3"}

    asyncio.run(main())


def test_a_hanging_handler_costs_its_own_lane_alone(tmp_path: Path) -> None:
    """While one lane's handler hangs, another lane in the same process delivers."""

    async def main() -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        async with a_lane(tmp_path / "a") as (slow, slow_world, _), a_lane(tmp_path / "b") as (quick, world, _):
            slow_world.http_client.gate.clear()
            slow.offer(await slow_world.owe(50))
            quick.offer(await world.owe(50))
            await settled(world, quick)

            assert slow_world.http_client.under_way == 4

    asyncio.run(main())

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
from actors.delivery.attempt_telemetry import AttemptTelemetry
from actors.delivery.cpu_throttle import MAX_REST_S, PIECES, SHARE, CpuThrottle
from actors.delivery.lane import Lane
from actors.delivery.lane_config import LaneConfig
from actors.delivery.monotonic_clock import MonotonicWallClock
from actors.delivery.outbox_poller import OutboxPoller
from actors.delivery.scheduler import LATE_MS
from actors.ports import HttpRequest, HttpResponse
from actors.version import USER_AGENT
from domain.breaker import FAILURES_TO_OPEN
from domain.delivery import LaneHealth
from domain.handler_policy import HandlerPolicy, parse_networks
from domain.loop_settings import LoopSettings
from domain.signing import SigningSecret, secret_text
from domain.values import DeliveryState
from tests.fakes import DELIVERED, LoopFixture, failed, header, loop_fixture, make_active
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
) -> AsyncIterator[tuple[Lane, LoopFixture, list[str]]]:
    """A running lane, its fixture, and the reasons for which it gave up."""
    reasons: list[str] = []
    async with loop_fixture(directory) as fixture:
        lane = make_lane(fixture, reasons, schedule, buffer_size, disable_after_s, **changes)
        lane.start()
        lane.resume()
        try:
            yield lane, fixture, reasons
        finally:
            fixture.ledger.is_away = False
            fixture.http_client.gate.set()
            await lane.stop(2.0)


def make_lane(
    fixture: LoopFixture,
    reasons: list[str],
    schedule: str = "0.05",
    buffer_size: int = 1000,
    disable_after_s: float = 1e6,
    cpu_throttle: CpuThrottle | None = None,
    **changes: Any,
) -> Lane:
    return Lane(
        fixture.loop_no,
        config(**changes),
        fixture.services(schedule, disable_after_s=disable_after_s, cpu_throttle=cpu_throttle),
        AttemptTelemetry("fl_1"),
        reasons.append,
        health=LaneHealth(),
        newest_before=0,
        buffer_size=buffer_size,
    )


async def settled(fixture: LoopFixture, lane: Lane) -> None:
    """Returns when nothing is pending and nothing is buffered."""
    await eventually(lambda: lane.buffered == 0 and fixture.pending() == 0)


# --- requests


def test_a_post(tmp_path: Path) -> None:
    """A handler gets the fields as a form, and each header of the contract once."""

    async def main() -> None:
        async with a_lane(tmp_path) as (lane, fixture, _):
            lane.offer(await fixture.owe())
            await settled(fixture, lane)
            (request,) = fixture.http_client.requests
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
            (outcome,) = fixture.ledger.recorded
            assert outcome[1:2] + outcome[4:] == (1, 200, None, "ok", "127.0.0.1", DeliveryState.DELIVERED, 0, 2, 0, "")

    asyncio.run(main())


def test_json_and_signatures(tmp_path: Path) -> None:
    """A JSON loop gets the same fields as one object; both secrets sign while they overlap."""

    async def main() -> None:
        fields = '{"type":"open","fields":{"name":"Zoë"},"tags":[]}'.encode()
        former = SigningSecret(b"nmlkjihgfedcba9876543210", 2**62)
        expired = SigningSecret(b"x" * 24, 1)
        secrets = (SECRET, former, expired)
        async with a_lane(tmp_path, format="json", secrets=secrets) as (lane, fixture, _):
            lane.offer(await fixture.owe(fields=fields))
            await settled(fixture, lane)
            (request,) = fixture.http_client.requests

            assert request.body == fields
            assert header(request, "Content-Type") == "application/json"
            assert len(header(request, "webhook-signature").split(" ")) == 2
            for secret in (SECRET, former):
                Webhook(secret_text(secret.secret)).verify(request.body, dict(request.headers))
            with pytest.raises(Exception, match="No matching signature"):
                Webhook(secret_text(expired.secret)).verify(request.body, dict(request.headers))

    asyncio.run(main())


# --- at least once, but not twice


def test_every_due_delivery_is_made_once(tmp_path: Path) -> None:
    """Each event of a backlog larger than the buffer, half of it offered, is delivered once."""

    async def main() -> None:
        async with a_lane(tmp_path, buffer_size=20) as (lane, fixture, _):
            for _ in range(10):
                offers = await fixture.owe(30)
                lane.offer(offers[:15])

                assert lane.buffered <= 20
            await settled(fixture, lane)

            assert len(fixture.http_client.events) == len(set(fixture.http_client.events)) == 300
            assert fixture.http_client.most_under_way <= 4

    asyncio.run(main())


def test_the_outbox_is_found_without_an_offer(tmp_path: Path) -> None:
    """A new lane delivers what is in the outbox; a running lane is nudged by the poller, even without offers."""

    async def main() -> None:
        async with loop_fixture(tmp_path) as fixture:
            await fixture.owe(3)
            lane = make_lane(fixture, [])
            lane.start()
            lane.resume()
            await settled(fixture, lane)
            watch = OutboxPoller(
                fixture.reader, MonotonicWallClock(fixture.clock), lambda due, _: lane.nudge() if due else None
            )
            watch.start()
            await make_active(fixture)
            await fixture.owe(2)
            await settled(fixture, lane)
            await watch.stop()
            await lane.stop(1.0)

            assert len(fixture.http_client.requests) == 5

    asyncio.run(main())


def test_nudge(tmp_path: Path) -> None:
    """A nudge makes the lane read the outbox at once."""

    async def main() -> None:
        async with a_lane(tmp_path) as (lane, fixture, _):
            await eventually(lambda: fixture.reader.reads > 0)
            await fixture.owe(1)
            lane.nudge()
            await eventually(lambda: len(fixture.http_client.requests) == 1, 0.5)

    asyncio.run(main())


def test_offers_that_come_late(tmp_path: Path) -> None:
    """A delivery is not POSTed again if its offer arrives after it was read from the outbox and recorded."""

    async def main() -> None:
        async with a_lane(tmp_path) as (lane, fixture, _):
            offers = await fixture.owe(5)
            lane.nudge()
            await settled(fixture, lane)
            lane.offer(offers)
            lane.offer(offers)
            await settled(fixture, lane)

            assert len(fixture.http_client.requests) == 5

    asyncio.run(main())


def test_reads_that_come_late(tmp_path: Path) -> None:
    """A delivery is not POSTed again if it was read from the outbox just before its outcome was recorded."""

    async def main() -> None:
        async with a_lane(tmp_path) as (lane, fixture, _):
            await eventually(lambda: fixture.reader.reads > 0)
            offers = await fixture.owe(5)
            loop = asyncio.get_running_loop()

            def deliver_meanwhile() -> None:
                fixture.reader.after_read = None

                async def deliver() -> None:
                    lane.offer(offers)
                    await eventually(lambda: len(fixture.ledger.recorded) == 5)

                asyncio.run_coroutine_threadsafe(deliver(), loop).result(5)

            fixture.reader.after_read = deliver_meanwhile
            lane.nudge()
            await settled(fixture, lane)
            await eventually(lambda: fixture.reader.after_read is None)
            reads = fixture.reader.reads
            lane.nudge()
            await eventually(lambda: fixture.reader.reads > reads)
            await settled(fixture, lane)

            assert len(fixture.http_client.requests) == 5

    asyncio.run(main())


def test_outcomes_wait_for_the_ledger(tmp_path: Path) -> None:
    """While outcomes cannot be recorded, no attempt begins: a crash would repeat every unrecorded delivery."""

    async def main() -> None:
        async with a_lane(tmp_path, buffer_size=10) as (lane, fixture, _):
            offers = await fixture.owe(30)
            fixture.ledger.is_away = True
            lane.offer(offers[:3])
            await eventually(lambda: fixture.ledger.refusals > 0)
            posted = len(fixture.http_client.requests)
            lane.offer(offers)
            lane.nudge()
            await eventually(lambda: fixture.ledger.refusals > 3)

            assert len(fixture.http_client.requests) == posted
            assert lane.buffered <= 10

            fixture.ledger.is_away = False
            await settled(fixture, lane)

            assert len(set(fixture.http_client.events)) == len(fixture.http_client.events) == 30

    asyncio.run(main())


def test_a_retry_by_hand_does_not_wait_for_the_breaker(tmp_path: Path) -> None:
    """The delivery is attempted at once, ahead of all others, although the handler asked for an hour; then the rest."""

    async def main() -> None:
        async with a_lane(tmp_path, buffer_size=12) as (lane, fixture, _):
            fixture.http_client.answer = lambda _: failed(503)._replace(retry_after="3600")
            old = await fixture.owe(FAILURES_TO_OPEN + 20)
            lane.offer(old)
            await eventually(lambda: lane.health.breaker == "open" and fixture.pending() == len(old))
            lane.nudge()
            await eventually(lambda: lane.buffered > 1)
            fixture.http_client.answer = lambda _: DELIVERED
            chosen = next(d for d in reversed(old) if not lane.is_in_flight(d.delivery_id))
            before = len(fixture.http_client.requests)
            lane.retry_now(chosen._replace(due_at_ms=fixture.clock.now_ms()))
            await eventually(lambda: len(fixture.http_client.requests) > before)

            assert fixture.http_client.events[before] == f"evt_{chosen.event_id.hex()}"
            await eventually(lambda: lane.health.breaker == "closed")

    asyncio.run(main())


def test_outcomes_are_recorded_in_batches(tmp_path: Path) -> None:
    """A few commits record the outcomes of hundreds of POSTs."""

    async def main() -> None:
        async with a_lane(tmp_path, max_concurrency=16) as (lane, fixture, _):
            lane.offer(await fixture.owe(600))
            await settled(fixture, lane)

            assert len(fixture.ledger.recorded) == 600
            assert len(fixture.ledger.batches) <= 60
            assert max(fixture.ledger.batches) <= 256

    asyncio.run(main())


# --- retries


def test_retries(tmp_path: Path) -> None:
    """A failed delivery is retried on the schedule with the same event id, until it is delivered."""

    async def main() -> None:
        async with a_lane(tmp_path, schedule="0.05,0.1") as (lane, fixture, _):
            answers = iter([failed(500), failed(None, "timeout"), DELIVERED])
            fixture.http_client.answer = lambda _: next(answers)
            lane.offer(await fixture.owe())
            await settled(fixture, lane)

            assert len(set(fixture.http_client.events)) == 1
            assert [o.attempt_no for o in fixture.ledger.recorded] == [1, 2, 3]
            assert [o.error for o in fixture.ledger.recorded] == ["status", "timeout", None]
            first, second, third = (o.at_ms for o in fixture.ledger.recorded)
            assert (second - first, third - second) >= (50, 100)

    asyncio.run(main())


def test_dead(tmp_path: Path) -> None:
    """After the last attempt a delivery is dead, and is not retried."""

    async def main() -> None:
        async with a_lane(tmp_path, schedule="0.01") as (lane, fixture, _):
            fixture.http_client.answer = lambda _: failed(302)
            lane.offer(await fixture.owe())
            await settled(fixture, lane)

            assert [(o.error, o.state) for o in fixture.ledger.recorded] == [("redirect", 0), ("redirect", 2)]

    asyncio.run(main())


def test_far_retries_are_not_held(tmp_path: Path) -> None:
    """Deliveries that are due much later are not kept in memory."""

    async def main() -> None:
        async with a_lane(tmp_path, schedule="3600") as (lane, fixture, _):
            fixture.http_client.answer = lambda _: failed(503, retry_after="7200")
            offers = await fixture.owe(3)
            lane.offer(offers)
            await eventually(lambda: len(fixture.ledger.recorded) == 3 and lane.buffered == 0)
            lane.offer([offers[0]._replace(delivery_id=99, due_at_ms=fixture.clock.now_ms() + 3_600_000)])

            assert lane.buffered == 0
            assert fixture.pending() == 3
            assert all(o.due_at_ms - o.at_ms >= 7_200_000 for o in fixture.ledger.recorded)

    asyncio.run(main())


def test_unencodable_events_are_dead(tmp_path: Path) -> None:
    """A delivery whose fields are not JSON ends as dead, with an error code, and does not block others."""

    async def main() -> None:
        async with a_lane(tmp_path, schedule="0.01", max_concurrency=1) as (lane, fixture, _):
            fixture.reader.is_away = True  # so that the lane uses the offer
            poison, good = await fixture.owe(2)
            lane.offer([poison._replace(fields=b"{"), good])
            await eventually(lambda: len(fixture.ledger.recorded) >= 2)

            assert {o.delivery_id: o.error for o in fixture.ledger.recorded[:2]} == {
                poison.delivery_id: "internal",
                good.delivery_id: None,
            }

    asyncio.run(main())


@pytest.mark.parametrize("ordered", [False, True])
def test_oversized_events_are_dead_at_once(tmp_path: Path, ordered: bool) -> None:
    """An event too large for a POST is dead after one attempt, and does not count against the handler."""
    too_large = b'{"fields":{"' + b"k" * 40_000 + b'":[1' + b",1" * 1500 + b"]}}"

    async def main() -> None:
        async with a_lane(tmp_path, schedule="0.01,0.01", max_concurrency=1, ordered=ordered) as (lane, fixture, _):
            poison = await fixture.owe(FAILURES_TO_OPEN, too_large)
            [good] = await fixture.owe()
            lane.offer([*poison, good])
            await eventually(lambda: len(fixture.ledger.recorded) == len(poison) + 1)

            assert {(o.delivery_id, o.error, o.state, o.attempt_no) for o in fixture.ledger.recorded} == {
                *((p.delivery_id, "event_too_large", DeliveryState.DEAD, 1) for p in poison),
                (good.delivery_id, None, DeliveryState.DELIVERED, 1),
            }
            assert len(fixture.http_client.requests) == 1
            assert lane.health.breaker == "closed"

    asyncio.run(main())


# --- giving up


def test_410_stops_the_lane(tmp_path: Path) -> None:
    """After 410 the delivery is dead, the lane asks once to disable the loop, and POSTs nothing else."""

    async def main() -> None:
        async with a_lane(tmp_path, max_concurrency=2) as (lane, fixture, reasons):
            fixture.http_client.answer = lambda _: failed(410)
            lane.offer(await fixture.owe(10))
            await eventually(lambda: lane.buffered == 0)

            assert len(reasons) == 1
            assert "410" in reasons[0]
            assert 1 <= len(fixture.http_client.requests) <= 2
            assert {o.state for o in fixture.ledger.recorded} == {DeliveryState.DEAD}
            assert fixture.pending() == 10 - len(fixture.ledger.recorded)

            fixture.http_client.answer = lambda _: DELIVERED
            lane.resume()
            await settled(fixture, lane)

    asyncio.run(main())


def test_uninterrupted_failures_disable_the_loop(tmp_path: Path) -> None:
    """The lane gives up on a handler that only failed for the allowed time; one success resets the time."""

    async def main() -> None:
        async with a_lane(tmp_path, schedule=",".join(["0.05"] * 60), disable_after_s=0.15) as (
            lane,
            fixture,
            reasons,
        ):
            answers = iter([failed(), failed(), DELIVERED])
            fixture.http_client.answer = lambda _: next(answers)
            lane.offer(await fixture.owe())
            await settled(fixture, lane)

            assert reasons == []

            fixture.http_client.answer = lambda _: failed()
            lane.offer(await fixture.owe())
            await eventually(lambda: len(reasons) == 1)

            assert "failed" in reasons[0]
            assert fixture.pending() == 1

    asyncio.run(main())


# --- settings


def test_pause_and_resume(tmp_path: Path) -> None:
    """A paused lane finishes attempts in flight and starts none; the rest waits in the outbox."""

    async def main() -> None:
        async with a_lane(tmp_path) as (lane, fixture, _):
            fixture.http_client.gate.clear()
            lane.offer(await fixture.owe(20))
            await eventually(lambda: fixture.http_client.under_way == 4)
            lane.pause()

            assert lane.buffered == 4

            fixture.http_client.gate.set()
            lane.offer(await fixture.owe(5))
            await eventually(lambda: len(fixture.ledger.recorded) == 4)

            assert len(fixture.http_client.requests) == 4
            assert lane.buffered == 0

            lane.resume()
            await settled(fixture, lane)

            assert len(fixture.http_client.requests) == 25

    asyncio.run(main())


def test_update(tmp_path: Path) -> None:
    """A new URL and concurrency apply from the next attempt on, with more workers or fewer."""

    async def main() -> None:
        async with a_lane(tmp_path, max_concurrency=1) as (lane, fixture, _):
            fixture.http_client.gate.clear()
            lane.offer(await fixture.owe(30))
            await eventually(lambda: fixture.http_client.under_way == 1)
            lane.update(config(max_concurrency=8, url="https://example.com/new"))
            await eventually(lambda: fixture.http_client.under_way == 8)

            assert {r.url for r in fixture.http_client.requests[1:]} == {"https://example.com/new"}

            lane.update(config(max_concurrency=2))
            fixture.http_client.gate.set()
            await settled(fixture, lane)
            fixture.http_client.gate.clear()
            lane.offer(await fixture.owe(30))
            await eventually(lambda: fixture.http_client.under_way == 2)
            fixture.http_client.most_under_way = 0
            fixture.http_client.gate.set()
            await settled(fixture, lane)

            assert fixture.http_client.most_under_way <= 2

    asyncio.run(main())


def test_rate_limit(tmp_path: Path) -> None:
    """A loop with a limit of 50 POSTs a second gets about as many, whatever its concurrency."""

    async def main() -> None:
        async with a_lane(tmp_path, rate_limit=50.0) as (lane, fixture, _):
            begun_s = fixture.clock.monotonic_s()
            lane.offer(await fixture.owe(25))
            await settled(fixture, lane)
            took_s = fixture.clock.monotonic_s() - begun_s

            assert 0.4 < took_s < 2.0

    asyncio.run(main())


@pytest.mark.parametrize("buffer_size", [1000, 4])
def test_ordered(tmp_path: Path, buffer_size: int) -> None:
    """An ordered lane has one POST in flight, and a failed delivery blocks the others until it is delivered or dead."""

    async def main() -> None:
        async with a_lane(tmp_path, ordered=True, schedule="0.03,0.03", buffer_size=buffer_size) as (lane, fixture, _):
            failing = iter([False, True, False, False, True, True, True])
            fixture.http_client.answer = lambda _: failed() if next(failing, False) else DELIVERED
            offers = await fixture.owe(10)
            lane.offer(offers[:5])
            lane.offer(offers[5:])
            await settled(fixture, lane)
            ids = [f"evt_{o.event_id.hex()}" for o in offers]
            expected = [ids[0], ids[1], ids[1], ids[2], ids[3], ids[3], ids[3], *ids[4:]]

            assert fixture.http_client.events == expected
            assert fixture.http_client.most_under_way == 1

    asyncio.run(main())


def test_ordered_and_paused(tmp_path: Path) -> None:
    """A failed delivery of an ordered lane returns to the outbox on pause, and is read again on resume."""

    async def main() -> None:
        async with a_lane(tmp_path, ordered=True, schedule="0.5") as (lane, fixture, _):
            fixture.http_client.answer = lambda _: failed()
            lane.offer(await fixture.owe(3))
            await eventually(lambda: len(fixture.ledger.recorded) == 1)
            lane.pause()
            await eventually(lambda: lane.buffered == 0)
            fixture.http_client.answer = lambda _: DELIVERED
            lane.resume()
            await settled(fixture, lane)

            assert len(set(fixture.http_client.events)) == 3
            assert len(fixture.http_client.events) == 4

    asyncio.run(main())


# --- the end


def test_stop_finishes_attempts(tmp_path: Path) -> None:
    """A stopping lane records the attempts in flight and starts no others."""

    async def main() -> None:
        async with a_lane(tmp_path) as (lane, fixture, _):
            fixture.http_client.gate.clear()
            lane.offer(await fixture.owe(20))
            await eventually(lambda: fixture.http_client.under_way == 4)
            stopping = asyncio.create_task(lane.stop(2.0))
            await asyncio.sleep(0)
            fixture.http_client.gate.set()
            await stopping

            assert (len(fixture.http_client.requests), len(fixture.ledger.recorded), fixture.pending()) == (4, 4, 16)

            lane.resume()
            lane.offer(await fixture.owe(1))
            assert lane.buffered == 0

    asyncio.run(main())


def test_stop_has_a_time_limit(tmp_path: Path) -> None:
    """A hanging handler and an unavailable ledger delay the stop no longer than allowed."""

    async def main() -> None:
        async with a_lane(tmp_path, max_concurrency=1) as (lane, fixture, _):
            offers = await fixture.owe(2)
            fixture.ledger.is_away = True

            def answer_and_hang(_request: HttpRequest) -> HttpResponse:
                fixture.http_client.gate.clear()
                return DELIVERED

            fixture.http_client.answer = answer_and_hang
            lane.offer(offers)
            await eventually(lambda: len(fixture.http_client.requests) == 2)
            begun_s = fixture.clock.monotonic_s()
            await lane.stop(0.3)

            assert fixture.clock.monotonic_s() - begun_s < 2
            assert fixture.http_client.under_way == 0
            assert fixture.pending() == 2

    asyncio.run(main())


def test_an_unreadable_outbox_is_read_again(tmp_path: Path) -> None:
    """A lane reads the outbox again after a failure, when the poller finds something due."""

    async def main() -> None:
        async with loop_fixture(tmp_path) as fixture:
            await fixture.owe(3)
            fixture.reader.is_away = True
            lane = make_lane(fixture, [])
            watch = OutboxPoller(
                fixture.reader, MonotonicWallClock(fixture.clock), lambda due, _: lane.nudge() if due else None
            )
            watch.start()
            lane.start()
            lane.resume()
            lane.offer(await fixture.owe(1))
            await eventually(lambda: len(fixture.ledger.recorded) == 1)
            fixture.reader.is_away = False
            watch.poll_now()
            await settled(fixture, lane)
            await watch.stop()
            await lane.stop(1.0)

            assert len(fixture.http_client.requests) == 4

    asyncio.run(main())


def test_a_backlog_pauses_and_live_events_do_not(tmp_path: Path) -> None:
    """While old deliveries pause in a busy process, live events are sent; the old ones then continue by themselves."""
    now_s, used_s = 0.0, itertools.chain([0.0], itertools.repeat(MAX_REST_S * SHARE))

    async def main() -> None:
        nonlocal now_s
        async with loop_fixture(tmp_path) as fixture:
            await fixture.owe(2 * PIECES, age_ms=LATE_MS + 1000)
            cpu_throttle = CpuThrottle(lambda: now_s, lambda: next(used_s))
            lane = make_lane(fixture, [], max_concurrency=1, cpu_throttle=cpu_throttle)
            lane.start()
            lane.resume()
            await eventually(lambda: len(fixture.http_client.requests) == PIECES - 1)
            fresh = await fixture.owe()
            lane.offer(fresh)
            await eventually(lambda: len(fixture.http_client.requests) == PIECES)

            assert fixture.http_client.events[-1] == f"evt_{fresh[0].event_id.hex()}"

            now_s += MAX_REST_S
            await settled(fixture, lane)
            await lane.stop(1.0)

            assert len(set(fixture.http_client.events)) == len(fixture.http_client.events) == 2 * PIECES + 1

    asyncio.run(main())


def test_a_burst_never_pauses_after_the_outbox(tmp_path: Path) -> None:
    """Recent events never pause, not even those that did not fit when they were offered."""

    async def main() -> None:
        async with loop_fixture(tmp_path) as fixture:
            await fixture.owe(4 * PIECES)
            used_s = itertools.count(0.0, 10.0)
            lane = make_lane(
                fixture, [], max_concurrency=1, cpu_throttle=CpuThrottle(lambda: 0.0, lambda: next(used_s))
            )
            lane.start()
            lane.resume()
            await settled(fixture, lane)
            await lane.stop(1.0)

            assert len(set(fixture.http_client.events)) == 4 * PIECES

    asyncio.run(main())


def test_large_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The buffer is also limited in bytes, but an event larger than the limit is still sent, by itself."""

    async def main() -> None:
        monkeypatch.setattr(prefetch_buffer, "MAX_BYTES", 5000)
        fields = b'{"mime":"' + b"x" * 1000 + b'"}'
        huge = b'{"mime":"' + b"x" * 5000 + b'"}'
        async with loop_fixture(tmp_path) as fixture:
            fixture.http_client.gate.clear()
            owed = [*await fixture.owe(5, fields), *await fixture.owe(1, huge), *await fixture.owe(2, fields)]
            lane = make_lane(fixture, [], max_concurrency=1)
            lane.start()
            lane.resume()
            await eventually(lambda: lane.buffered == 2)  # from the outbox; half of the limit is full
            lane.offer(owed)

            assert lane.buffered == 4

            fixture.http_client.gate.set()
            await settled(fixture, lane)
            await lane.stop(1.0)

            assert len(set(fixture.http_client.events)) == len(fixture.http_client.events) == 8

    asyncio.run(main())


# --- with the real HTTP client


def test_over_real_connections(tmp_path: Path) -> None:
    """The lane and the real HTTP client deliver to a real handler over a few connections, and record everything."""

    async def main() -> None:
        ok = b"HTTP/1.1 200 OK\r\nX-Odd: \xff[2\r\nContent-Length: 3\r\n\r\n\x1b[1"
        async with loop_fixture(tmp_path) as fixture, raw_handler(answering(ok)) as handler:
            http_client = PinnedHttpClient(HandlerResolver(HandlerPolicy(parse_networks("127.0.0.0/8"))))
            fixture.http_client = http_client  # type: ignore[assignment]
            lane = make_lane(fixture, [], url=handler.url())
            lane.start()
            lane.resume()
            lane.offer(await fixture.owe(100))
            await settled(fixture, lane)
            await lane.stop(1.0)
            await http_client.close()

            assert len(handler.requests) == 100
            assert handler.connections <= 4
            assert {(o.status, o.excerpt, o.address) for o in fixture.ledger.recorded} == {(200, "�[1", "127.0.0.1")}
            assert {o.response_headers for o in fixture.ledger.recorded} == {"X-Odd: �[2\nContent-Length: 3"}

    asyncio.run(main())


def test_a_hanging_handler_costs_only_its_own_lane(tmp_path: Path) -> None:
    """While one lane's handler hangs, another lane in the same process delivers."""

    async def main() -> None:
        (tmp_path / "a").mkdir()
        (tmp_path / "b").mkdir()
        async with a_lane(tmp_path / "a") as (slow, slow_fixture, _), a_lane(tmp_path / "b") as (quick, fixture, _):
            slow_fixture.http_client.gate.clear()
            slow.offer(await slow_fixture.owe(50))
            quick.offer(await fixture.owe(50))
            await settled(fixture, quick)

            assert slow_fixture.http_client.under_way == 4

    asyncio.run(main())

"""Cost of one delivery from the lane's queue to the recorded outcome: encode, sign, POST, judge, batch.

Run:  python -m benchmarks.bench_lane [--deliveries 20000] [--concurrency 16] [--profile]

The handler runs in a separate process. The ledger only counts outcomes; bench_ledger measures the real one. CPU time is
that of this process only (`time.process_time`).
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import multiprocessing
import pstats
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop

from actors.adapters.clock import SystemClock
from actors.adapters.http_client import PinnedHttpClient
from actors.adapters.resolver import HandlerResolver
from actors.delivery.attempt_telemetry import AttemptTelemetry
from actors.delivery.cpu_throttle import CpuThrottle
from actors.delivery.dependencies import DeliveryPolicy, DeliveryServices
from actors.delivery.lane import Lane
from actors.delivery.lane_config import LaneConfig
from actors.delivery.prefetch_buffer import SharedBytes
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from benchmarks.bench_sender import serve
from domain.delivery import AttemptOutcome, LaneHealth, OfferedDelivery
from domain.handler_policy import HandlerPolicy, parse_networks
from domain.loop_settings import LoopSettings
from domain.retry import RetrySchedule
from domain.signing import SigningSecret

FIELDS = {
    "id": "msg_0190f3c07b8a7c1e8f3a5d2b4c6e8f01",
    "event": "evt_0190f3c07b8a7c1e8f3a5d2b4c6e8f02",
    "type": "click",
    "timestamp": "2026-01-01 12:00:00",
    "time": 1767268800,
    "recipient": "john.doe@example.com",
    "tags": ["newsletter", "january"],
    "mailing": "4711",
    "ip": "203.0.113.7",
    "useragent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "referer": "https://mail.example.com/",
    "original": "https://example.com/offer?id=1&utm_source=newsletter",
    "first": 1,
    "database": "1",
    "profile": "123",
    "fields": {"firstname": "John", "lastname": "Doe", "city": "Amsterdam"},
    "interests": ["sailing", "music"],
}


class IdleLedger:
    """A ledger that only counts outcomes."""

    recorded = 0

    async def append(self, events: object) -> None: ...

    async def record_events(self, routes_version: int, events: object) -> None: ...

    async def record_outcomes(self, outcomes: Sequence[AttemptOutcome], _health: object = None) -> None:
        assert all(outcome.status == 200 for outcome in outcomes)
        self.recorded += len(outcomes)


class EmptyOutbox(SQLiteLedgerReader):
    """An empty outbox, because all deliveries are offered."""

    def due_deliveries(self, *_: object, **__: object) -> list[OfferedDelivery]:
        return []

    def next_due_ms(self, *_: object, **__: object) -> int | None:
        return None


async def measure(url: str, form: str, options: argparse.Namespace) -> None:
    ledger = IdleLedger()
    clock = SystemClock()
    config = LaneConfig(
        "fl_" + "0" * 32,
        "acc_" + "0" * 32,
        url,
        LoopSettings(triggers=("click",), format=form, max_concurrency=options.concurrency),
        (SigningSecret(b"0" * 24, None),),
    )
    services = DeliveryServices(
        ledger,  # type: ignore[arg-type]
        EmptyOutbox(Path("unused")),
        PinnedHttpClient(HandlerResolver(HandlerPolicy(parse_networks("127.0.0.0/8")))),
        clock,
        random.SystemRandom(),
        DeliveryPolicy(RetrySchedule.parse("5,300"), timeout_s=15.0),
        SharedBytes(),
        CpuThrottle(time.monotonic, time.process_time),
    )
    lane = Lane(1, config, services, AttemptTelemetry(config.loop_id), print, health=LaneHealth(), newest_before=0)
    lane.start()
    lane.resume()
    await asyncio.sleep(0.1)
    fields = msgspec.json.encode(FIELDS)
    cpu_us, rates, number = [], [], 0
    for round_no in range(6):
        cpu, wall, before = time.process_time(), time.perf_counter(), number
        while number - before < options.deliveries:
            now_ms = clock.now_ms()
            count = 900 - lane.buffered
            if count > 100:
                offers = [OfferedDelivery(number + n + 1, b"e" * 16, "click", fields, 0, now_ms) for n in range(count)]
                lane.offer(offers)
                number += count
            await asyncio.sleep(0.002)
        while ledger.recorded < number:
            await asyncio.sleep(0.002)
        if round_no:
            cpu_us.append((time.process_time() - cpu) / (number - before) * 1e6)
            rates.append((number - before) / (time.perf_counter() - wall))
    await lane.stop(1.0)
    print(f"{form:5} {statistics.median(cpu_us):6.1f} us CPU (best {min(cpu_us):5.1f}) {max(rates):8,.0f} deliveries/s")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--deliveries", type=int, default=20_000)
    arguments.add_argument("--concurrency", type=int, default=16)
    arguments.add_argument("--profile", action="store_true")
    options = arguments.parse_args()
    here, there = multiprocessing.Pipe()
    handler = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    handler.start()
    url = f"http://127.0.0.1:{here.recv()}/dir/script.php"
    profile = cProfile.Profile()
    for form in ("form", "json"):
        if options.profile:
            profile.enable()
        uvloop.run(measure(url, form, options))
        profile.disable()
        if options.profile:
            pstats.Stats(profile).sort_stats("tottime").print_stats(22)
            break
    handler.terminate()


if __name__ == "__main__":
    main()

"""Benchmark of the main job: clicks answered, stored and POSTed per second, compared with a limit, and the latency.

    python -m benchmarks.main_job [--clicks 30000] [--rounds 3] [--rate 300] [--seconds 20] [--out benchmarks/results]

The limit (`benchmarks/limit.py`) and the service handle the same load in turns, on the same machine, with the same load
generator and the same handler, each in a separate process. A rate is the number of clicks divided by the time from the
first request to the last POST.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from benchmarks import load, row
from tests.paths import ROOT
from tests.ports import free_port
from tests.service import Account, Service, Sink, eventually


def send(
    port: int,
    paths: list[str],
    folder: Path,
    rate: float = 0,
    connections: int = 64,
    begin: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Clicks on all links with the load generator, which must redirect each click."""
    return run_load(port, list(map(load.get, paths)), folder, 302, rate=rate, connections=connections, begin=begin)


def run_load(
    port: int,
    requests: list[bytes],
    folder: Path,
    status: int,
    *,
    rate: float = 0,
    connections: int = 64,
    begin: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Runs the load generator, in an empty or earlier `folder` of its own.

    Adds `times`, when each request was due. Calls `begin` just before the first request. Each answer must have the
    status.
    """
    listing, times = folder / "requests.msgpack", folder / "times.bin"
    listing.write_bytes(msgspec.msgpack.encode(requests))
    command = [sys.executable, "-m", "benchmarks.load", "--port", str(port), "--requests", str(listing)]
    command += ["--times", str(times), "--rate", str(rate), "--connections", str(connections), "--wait"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        if run.stdout.readline() == "ready\n":
            begin()
        printed, _ = run.communicate("begin\n")
    if run.returncode:
        raise subprocess.CalledProcessError(run.returncode, command)
    result: dict[str, Any] = json.loads(printed)
    result["times"] = array("q", times.read_bytes())
    if result["status"] != {str(status): len(requests)}:
        raise RuntimeError(f"not every answer was {status}: {result['status']}")
    return result


def rate_of(sink: Sink, port: int, paths: list[str], folder: Path) -> float:
    """Returns the clicks per second, from the first request to the last POST."""
    sink.command("reset")
    result = send(port, paths, folder)
    eventually(lambda: sink.stats()["unique"] >= len(paths), 120, "every click was POSTed", 0.2)
    seconds: float = (sink.stats()["last_ns"] - result["first_ns"]) / 1e9
    return len(paths) / seconds


def limit_rate(sink: Sink, clicks: int, folder: Path) -> float:
    """Returns the limit's rate."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.limit", "--port", str(port), "--handler", sink.url]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        eventually(lambda: _listens(port), 10, "the limit listens")
        paths = [f"/c?url=https://shop.example/products%3Fn%3D{n}" for n in range(clicks)]
        return rate_of(sink, port, paths, folder)
    finally:
        process.kill()
        process.wait()


def _listens(port: int) -> bool:
    import socket  # noqa: PLC0415

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def latency(account: Account, sink: Sink, rate: float, seconds: float, first: int, folder: Path) -> dict[str, float]:
    """Returns the time from when a click was due to the arrival of its POST, open loop, in milliseconds."""
    paths = account.click_paths(int(rate * seconds), first=first)
    return latency_of(account.service.port, sink, paths, rate, first, folder)


def latency_of(port: int, sink: Sink, paths: list[str], rate: float, first: int, folder: Path) -> dict[str, float]:
    """The same for clicks on these links, whose targets are numbered from `first`."""
    sink.command("reset")
    result = send(port, paths, folder, rate)
    eventually(lambda: sink.stats()["unique"] >= len(paths), 60, "every click was POSTed", 0.2)
    arrivals = sink.arrivals()
    took = sorted((arrivals[first + n] - due) / 1e6 for n, due in enumerate(result["times"]))
    return {
        "rate": rate,
        "clicks": len(paths),
        "p50_ms": round(took[len(took) // 2], 2),
        "p90_ms": round(took[len(took) * 90 // 100], 2),
        "p95_ms": round(took[len(took) * 95 // 100], 2),
        "p99_ms": round(took[len(took) * 99 // 100], 2),
        "max_ms": round(took[-1], 2),
        "answer_p50_ms": round(result["answer_p50_ms"], 2),
        "answer_p95_ms": round(result["answer_p95_ms"], 2),
        "answer_p99_ms": round(result["answer_p99_ms"], 2),
    }


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    sink = Sink().start()
    service = Service(folder / "data")
    limits, rates = [limit_rate(sink, arguments.clicks, folder)], []
    try:
        service.start()
        account = service.account()
        account.loop(sink, max_concurrency=arguments.concurrency)
        warm_up = account.click_paths(2000)
        rate_of(sink, service.port, warm_up, folder)
        for number in range(arguments.rounds):
            paths = account.click_paths(arguments.clicks, first=2000 + number * arguments.clicks)
            rates.append(rate_of(sink, service.port, paths, folder))
            print(f"round {number + 1}: {rates[-1]:,.0f} clicks/s", flush=True)
        first = 2000 + arguments.rounds * arguments.clicks
        took = latency(account, sink, arguments.rate, arguments.seconds, first, folder)
    finally:
        service.end()
        limits.append(limit_rate(sink, arguments.clicks, folder))
        sink.stop()
    rate, limit = statistics.median(rates), statistics.median(limits)
    return {
        "limit_per_s": [round(x) for x in limits],
        "service_per_s": [round(x) for x in rates],
        "ratio": round(rate / limit, 3),
        "latency": took,
    }


def main() -> None:
    defaults = {"clicks": 30_000, "rounds": 3, "rate": 300.0, "seconds": 20.0, "concurrency": 16}
    row.run("main_job", __doc__, measure, defaults)


if __name__ == "__main__":
    main()

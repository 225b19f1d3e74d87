"""`feedback-loops bench`: clicks at a running service, and what became of them."""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import httpx

from api.cli.api_client import Misused, NotUnderstood, needs_certificates, read_object, service_key, service_url
from api.cli.command_group import UNREACHABLE
from api.cli.help import Parser, whole_number

API_KEY_VARIABLE: Final = "FEEDBACK_LOOPS_API_KEY"
DESCRIPTION: Final = """\
Registers messages with one link each, clicks every link once, and waits until these clicks are delivered
to the loop. It runs outside the service: the figures include its own work, and on the same machine it
competes with the service for the processors. The benchmarks/ folder of the source has precise measurements.

Use a test account: its messages and events are not removed. Set FEEDBACK_LOOPS_API_KEY to its key.
"""
PAGE: Final = 100
SETTLE_S: Final = 0.25
_UUID7_TIME_DIGITS: Final = 12


class BenchFailed(Exception):
    """The service did not answer as it should."""


def parser() -> Parser:
    made = Parser(
        prog="feedback-loops bench",
        usage="feedback-loops bench --loop fl_… [OPTION …]",
        description=DESCRIPTION,
    )
    made.add_argument("--loop", required=True, metavar="fl_…", help="an active loop with the trigger `click`")
    made.add_argument("--url", default="http://127.0.0.1:8080", metavar="URL", help="default: http://127.0.0.1:8080")
    made.add_argument(
        "--clicks", type=whole_number(1, 1_000_000), default=1000, metavar="N", help="number of clicks; default: 1000"
    )
    made.add_argument(
        "--connections", type=whole_number(1, 1000), default=16, metavar="N", help="concurrent connections; default: 16"
    )
    made.add_argument(
        "--timeout",
        type=whole_number(1, 86400),
        default=60,
        metavar="S",
        help="seconds to wait for the deliveries; default: 60",
    )
    return made


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0 to 1) of them do not exceed. There must be one."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def event_time_ms(event_id: str) -> int:
    """When an event's hit came, Unix milliseconds: its id is a UUIDv7 (RFC 9562 5.7)."""
    return int(event_id.removeprefix("evt_")[:_UUID7_TIME_DIGITS], 16)


class Bench:
    """One run."""

    def __init__(self, options: argparse.Namespace, key: str, http: httpx.AsyncClient) -> None:
        self._options = options
        self._headers = {"Authorization": f"Bearer {key}"}
        self._http = http

    async def run(self) -> list[str]:
        """The report, line by line.

        Raises:
            BenchFailed: the service refused, or not every click was redirected.
        """
        await self._check_loop()
        links = await self._links()
        began_s, began_ms = time.perf_counter(), time.time_ns() // 1_000_000
        answers_ms = await self._click(links)
        clicking_s = time.perf_counter() - began_s
        deliveries = await self._deliveries(began_ms)
        return [
            _line("clicks", f"{len(links)} at {len(links) / clicking_s:,.0f}/s, {self._options.connections} at a time"),
            _line("redirect after", _spread(answers_ms)),
            *_delivery_lines(deliveries, len(links), began_ms),
        ]

    async def _get(self, path: str, **query: str | int) -> dict[str, Any]:
        answer = await self._http.get(path, params=query, headers=self._headers)
        if answer.status_code != 200:
            raise BenchFailed(f"GET {path} answered {answer.status_code}: {answer.text[:500]}")
        found: dict[str, Any] = read_object(answer.text, self._options.url)
        return found

    async def _check_loop(self) -> None:
        loop = await self._get(f"/v1/feedback-loops/{self._options.loop}")
        if loop["state"] != "active" or "click" not in loop["triggers"]:
            raise BenchFailed(f"the loop is {loop['state']}, with triggers {loop['triggers']}: verify it, with `click`")

    async def _links(self) -> list[str]:
        lines = "\n".join(
            json.dumps({"recipient": f"bench{n}@example.com", "links": [f"https://example.com/?n={n}"]})
            for n in range(self._options.clicks)
        )
        headers = self._headers | {"Content-Type": "application/x-ndjson"}
        answer = await self._http.post("/v1/messages", content=lines, headers=headers)
        if answer.status_code != 201:
            raise BenchFailed(f"POST /v1/messages answered {answer.status_code}: {answer.text[:500]}")
        # Relative to --url: the public URL may be a proxy's.
        messages = [read_object(line, self._options.url) for line in answer.text.splitlines()]
        return [httpx.URL(link).raw_path.decode() for message in messages for link in message["links"].values()]

    async def _click(self, paths: list[str]) -> list[float]:
        waiting, answers_ms = iter(paths), list[float]()

        async def clicker() -> None:
            for path in waiting:
                began_s = time.perf_counter()
                answer = await self._http.get(path, headers={"User-Agent": "Mozilla/5.0 (bench) Firefox/140.0"})
                answers_ms.append(1000 * (time.perf_counter() - began_s))
                if answer.status_code != 302:
                    raise BenchFailed(f"GET {path} answered {answer.status_code}")

        await asyncio.gather(*(clicker() for _ in range(self._options.connections)))
        return answers_ms

    async def _deliveries(self, since_ms: int) -> list[dict[str, Any]]:
        """The deliveries since then, once all are over or the time is up."""
        deadline_s = time.monotonic() + self._options.timeout
        while True:
            found = await self._all_deliveries(since_ms)
            is_over = len(found) >= self._options.clicks and all(d["state"] != "pending" for d in found)
            if is_over or time.monotonic() > deadline_s:
                return found
            await asyncio.sleep(SETTLE_S)

    async def _all_deliveries(self, since_ms: int) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        since = datetime.fromtimestamp(since_ms / 1000).astimezone().isoformat(timespec="milliseconds")
        query: dict[str, str | int] = {"type": "click", "since": since, "limit": PAGE}
        while True:
            page = await self._get(f"/v1/feedback-loops/{self._options.loop}/deliveries", **query)
            found += page["data"]
            if page["next"] is None:
                return found
            query["cursor"] = page["next"]


def _delivery_lines(deliveries: Sequence[Mapping[str, Any]], clicks: int, began_ms: int) -> list[str]:
    delivered = [d for d in deliveries if d["state"] == "delivered"]
    others = f"; {len(deliveries) - len(delivered)} are not, {clicks - len(deliveries)} are missing"
    lines = [_line("delivered", f"{len(delivered)} of {clicks}{others if len(delivered) < clicks else ''}")]
    if delivered:
        firsts_ms = [_time_ms(d["attempts"][0]) for d in delivered]
        ends_ms = [_time_ms(d["attempts"][-1]) + d["attempts"][-1]["duration_ms"] for d in delivered]
        waits_ms = [first - event_time_ms(d["event"]) for first, d in zip(firsts_ms, delivered, strict=True)]
        rate = 1000 * len(delivered) / max(1, max(ends_ms) - began_ms)
        lines += [_line("POST begun after", _spread(waits_ms)), _line("first click to last", f"{rate:,.0f} POSTs/s")]
    return lines


def _time_ms(attempt: Mapping[str, Any]) -> int:
    return round(datetime.fromisoformat(attempt["time"]).timestamp() * 1000)


def _line(name: str, text: str) -> str:
    return f"{name:>20}  {text}"


def _spread(values_ms: Sequence[float]) -> str:
    return "  ".join(f"p{share:g} {percentile(values_ms, share / 100):.1f} ms" for share in (50, 90, 99, 100))


async def _run(options: argparse.Namespace, key: str) -> list[str]:
    limits = httpx.Limits(max_connections=options.connections, max_keepalive_connections=options.connections)
    url = service_url(options.url)
    async with httpx.AsyncClient(
        base_url=url, timeout=60, limits=limits, trust_env=False, verify=needs_certificates(url)
    ) as http:
        return await Bench(options, service_key(key), http).run()


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs the benchmark and prints its report."""
    options = parser().parse_args(arguments)
    key = environment.get(API_KEY_VARIABLE)
    if not key:
        sys.stderr.write(f"feedback-loops bench: set {API_KEY_VARIABLE} to the account's key\n")
        return 2
    try:
        lines = asyncio.run(_run(options, key))
    except Misused as exc:
        sys.stderr.write(f"feedback-loops bench: {exc}\n")
        return 2
    except httpx.HTTPError as exc:
        problem = f"no answer from {options.url} ({exc or type(exc).__name__}); is the service running?"
        sys.stderr.write(f"feedback-loops bench: {problem}\n")
        return UNREACHABLE
    except (BenchFailed, NotUnderstood) as exc:
        sys.stderr.write(f"feedback-loops bench: {exc}\n")
        return 1
    print("\n".join(lines))  # noqa: T201 - the command's output
    return 0

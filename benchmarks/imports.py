"""Benchmark of profile writes: profiles imported per second, and the cost of one PUT to a profile with a long history.

    python -m benchmarks.imports [--profiles 20000] [--updates 5000] [--puts 200] [--out benchmarks/results]

Imports are NDJSON requests, one after the other, to a service with a loop for every trigger about profiles, whose
handler accepts everything. The PUTs alternate between a profile with one earlier update and one with `--updates`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import row
from tests.service import Account, Service, Sink, eventually

#: Lines of one request.
PER_CALL = 5000
#: The guarantee: a long history increases the time of a PUT at most by this factor.
MAX_PUT_RATIO = 1.5


def run_import(account: Account, specs: Sequence[dict[str, Any]], expected: str, *, events: bool = True) -> float:
    """Imports the profiles and returns how many per second; each must be answered with `expected`."""
    path = "/v1/databases/1/profiles" + ("" if events else "?events=none")
    began_s = time.perf_counter()
    for start in range(0, len(specs), PER_CALL):
        lines = "\n".join(json.dumps(spec) for spec in specs[start : start + PER_CALL])
        answer = account.call("PUT", path, content=lines, headers={"Content-Type": "application/x-ndjson"})
        answers = [json.loads(line) for line in answer.text.splitlines()]
        if other := [each for each in answers if each.get("result") != expected]:
            raise RuntimeError(f"not {expected}: {other[0]}")
    return len(specs) / (time.perf_counter() - began_s)


def specs(count: int, step: int) -> list[dict[str, Any]]:
    """Profiles of about 300 bytes."""
    return [
        {
            "id": str(n),
            "fields": {"n": n, "step": step, "name": f"Person {n}", "city": "Amsterdam", "notes": "x" * 200},
            "interests": ["golf", "jam"],
        }
        for n in range(count)
    ]


def put_ms(account: Account, ids: Sequence[str], puts: int) -> list[float]:
    """The median time of a PUT that changes the profile, for each of the profiles, in turns."""
    took: dict[str, list[float]] = {each: [] for each in ids}
    for number in range(puts):
        for id_ in ids:
            began_s = time.perf_counter()
            answer = account.call("PUT", f"/v1/databases/1/profiles/{id_}", json={"fields": {"put": number}})
            took[id_].append((time.perf_counter() - began_s) * 1000)
            if answer.status_code != 200:
                raise RuntimeError(answer.text)
    return [round(statistics.median(times), 2) for times in took.values()]


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    sink, service = Sink().start(), Service(folder / "data")
    count = arguments.profiles
    try:
        service.start()
        account = service.account()
        account.loop(sink, triggers=["create", "update", "delete"])
        run_import(account, [{**spec, "id": f"warm-up {spec['id']}"} for spec in specs(1000, 0)], "created")
        rates = {
            "created": run_import(account, specs(count, 1), "created"),
            "updated": run_import(account, specs(count, 2), "updated"),
            "unchanged": run_import(account, specs(count, 2), "unchanged"),
            "updated, without events": run_import(account, specs(count, 3), "updated", events=False),
        }
        sent = 1000 + 2 * count
        eventually(lambda: sink.stats()["posts"] >= sent, 120, "every event was POSTed", 0.2)
        for id_, updates in (("short", 1), ("long", arguments.updates)):
            history = ({"id": id_, "fields": {"n": n}, "interests": []} for n in range(1, updates + 1))
            run_import(account, [{"id": id_, "fields": {}, "interests": []}], "created", events=False)
            run_import(account, list(history), "updated", events=False)
        short_ms, long_ms = put_ms(account, ("short", "long"), arguments.puts)
    finally:
        sink.stop()
        service.end()
    return {
        "imported_per_s": {name: round(rate) for name, rate in rates.items()},
        "put_ms": {"after 1 update": short_ms, f"after {arguments.updates} updates": long_ms},
        "put_ratio": round(long_ms / short_ms, 2),
    }


def main() -> None:
    defaults = {"profiles": 20_000, "updates": 5000, "puts": 200}
    row.run("imports", __doc__, measure, defaults, lambda result: result["put_ratio"] <= MAX_PUT_RATIO)


if __name__ == "__main__":
    main()

"""Fault matrix: injects one fault after the other into a real service under load, and prints a row of results for each.

    python -m tests.chaos.matrix [--rounds 1] [--seed N] [--short] [--only NAME …]

The columns "answered" and "unanswered" count clicks; "delivered" and "lost" count answered clicks that reached the
handler or did not; "repeated" counts POSTs beyond the first of an event; "recovery" is the longest delay of a click
after the fault's end. Without `--short`, the rows named "mixed …" follow (`tests/chaos/mixed_faults.py`): faults while
clicks, reports, returned mails and profile changes arrive. The exit status is 1 if a promise was broken. `--only kill`
selects every fault whose name starts with "kill".
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tests.chaos import mixed_faults
from tests.chaos.handler_faults import Misbehaving, NameFails
from tests.chaos.machine_faults import HOUR_S, ClockStep, DiskFull, StopOnFullDisk, StoreLocked
from tests.chaos.process_faults import KILLED, STOPPED, Kill, Stop
from tests.chaos.replay_fault import KillInReplay
from tests.chaos.sandbox import sandbox
from tests.chaos.service_under_load import Fault, Row, ServiceUnderLoad
from tests.service import running

#: The timeout is shorter than the shortest fault, and the retries outlast the longest.
SETTINGS = {
    "FEEDBACK_LOOPS_DELIVERY_TIMEOUT": "2",
    "FEEDBACK_LOOPS_RETRY_SCHEDULE": ",".join(["0.3", "0.7", *["1.5"] * 90]),
}
#: Starting Ray takes the most time, so the short matrix does it only twice: after a lost raylet and a kill in a replay.
LONG_ONLY = {"kill gcs", "kill serve", "kill tree", "stop on full disk"}
#: Clicks per second.
RATE = 150.0


def faults(*, is_short: bool) -> list[Fault]:
    """All faults. The short matrix has nearly the same ones, for a shorter time."""

    def lasting(long_s: float, short_s: float) -> float:
        return short_s if is_short else long_s

    misbehaving = {"hangs": "hang", "resets": "break", "garbage": "babble", "500": "fail", "vanishes": "vanish"}
    matrix = [
        *(Kill(role) for role in KILLED),
        *(Stop(role, lasting(20.0, 3.0)) for role in STOPPED),
        *(Misbehaving(name, what, lasting(60.0, 3.0)) for name, what in misbehaving.items()),
        NameFails(lasting(30.0, 1.0)),
        StoreLocked(lasting(30.0, 6.0)),
        DiskFull(lasting(30.0, 4.0)),
        StopOnFullDisk(lasting(30.0, 4.0)),
        ClockStep("clock forward", HOUR_S),
        ClockStep("clock back", -HOUR_S),
        KillInReplay(),
    ]
    return [fault for fault in matrix if not (is_short and fault.name in LONG_ONLY)]


@contextlib.contextmanager
def service_under_load(folder: Path, rng: random.Random, rate: float = RATE) -> Iterator[ServiceUnderLoad]:
    """A ready service without load yet; the service, its handler and its disk are removed afterwards."""
    with (
        sandbox(folder) as place,
        running(place.data_dir, wrapper=place.wrapper, **SETTINGS, **place.environment) as (service, sink),
    ):
        yield ServiceUnderLoad(service, sink, place, rng, rate)


def run(load: ServiceUnderLoad, chosen: list[Fault]) -> list[str]:
    """Prints a row for each fault, and returns the broken promises."""
    broken: list[str] = []
    for fault in chosen:
        if reason := fault.reason_to_skip(load):
            print(f"{fault.name:<18}skipped: {reason}", flush=True)
            continue
        try:
            row = load.round(fault)
        except AssertionError as exc:
            problems = [str(exc)]
            print(f"{fault.name:<18}BROKEN: {exc}", flush=True)
        else:
            problems = row.broken_promises()
            print(f"{row}{'   BROKEN' if problems else ''}", flush=True)
        broken += [f"{fault.name}: {problem}" for problem in problems]
    return broken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1, help="times that each fault is injected, in random order")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--short", action="store_true", help="faults that only last seconds")
    parser.add_argument("--only", nargs="+", default=[""], metavar="NAME", help="faults whose names start with NAME")
    arguments = parser.parse_args()
    chosen = [f for f in faults(is_short=arguments.short) if f.name.startswith(tuple(arguments.only))]
    mixed = [] if arguments.short else [n for n in mixed_faults.NAMES if n.startswith(tuple(arguments.only))]
    if not chosen and not mixed:
        names = [*(fault.name for fault in faults(is_short=False)), *mixed_faults.NAMES]
        parser.error(f"no fault has such a name; there are: {', '.join(names)}")
    print(f"seed {arguments.seed}", flush=True)
    # Exit normally, so that no processes and mounts are left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rng, began_s, broken = random.Random(arguments.seed), time.monotonic(), []
    with tempfile.TemporaryDirectory(prefix="feedback-loops-chaos-") as folder:
        if chosen:
            print(Row.HEAD, flush=True)
            with service_under_load(Path(folder), rng) as load:
                for _ in range(arguments.rounds):
                    rng.shuffle(chosen)
                    broken += run(load, chosen)
        if mixed:
            broken += mixed_faults.run(Path(folder), rng, mixed, SETTINGS)
    print(f"{(time.monotonic() - began_s) / 60:.1f} minutes", flush=True)
    print("\n".join(broken) or "every promise kept", flush=True)
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()

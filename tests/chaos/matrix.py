"""The matrix of faults: one after the other, to a real service under load, each a row of what was promised and came.

    python -m tests.chaos.matrix [--rounds 1] [--seed N] [--short] [--only NAME …]

Answered and unanswered are clicks; delivered and lost, answered clicks that came to the handler and that did not;
repeated, POSTs beyond the first of an event; recovery, the longest that a click took, counted from the fault's end. It
ends with 1 when a promise was broken. `--only kill` picks every fault whose name begins so.
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

from tests.chaos.handler_faults import Misbehaving, NameFails
from tests.chaos.machine_faults import HOUR_S, ClockStep, DiskFull, StoreLocked
from tests.chaos.process_faults import KILLED, STOPPED, Kill, Stop
from tests.chaos.replay_fault import KillInReplay
from tests.chaos.sandbox import sandbox
from tests.chaos.service_under_load import Fault, Row, ServiceUnderLoad
from tests.service import running

#: A time-out shorter than the shortest fault, and retries that outlast the longest.
SETTINGS = {
    "FEEDBACK_LOOPS_DELIVERY_TIMEOUT": "2",
    "FEEDBACK_LOOPS_RETRY_SCHEDULE": ",".join(["0.3", "0.7", *["1.5"] * 90]),
}
#: Ray's start takes longer than all else, so the short form has it twice: for a lost raylet, and for all in a replay.
LONG_ONLY = {"kill gcs", "kill serve", "kill tree"}
#: Clicks a second.
RATE = 150.0


def faults(*, is_short: bool) -> list[Fault]:
    """The whole matrix. The short form has nearly the same faults, for a shorter time."""

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
        ClockStep("clock forward", HOUR_S),
        ClockStep("clock back", -HOUR_S),
        KillInReplay(),
    ]
    return [fault for fault in matrix if not (is_short and fault.name in LONG_ONLY)]


@contextlib.contextmanager
def service_under_load(folder: Path, rng: random.Random, rate: float = RATE) -> Iterator[ServiceUnderLoad]:
    """A ready service under nobody's load yet; it, its handler and its disk are gone afterwards."""
    with (
        sandbox(folder) as place,
        running(place.data_dir, wrapper=place.wrapper, **SETTINGS, **place.environment) as (service, sink),
    ):
        yield ServiceUnderLoad(service, sink, place, rng, rate)


def run(load: ServiceUnderLoad, chosen: list[Fault]) -> list[str]:
    """Prints a row for each fault, and gives the promises that were broken."""
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
    parser.add_argument("--rounds", type=int, default=1, help="how often each fault comes, in an order of its own")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--short", action="store_true", help="faults that last for seconds only")
    parser.add_argument("--only", nargs="+", default=[""], metavar="NAME", help="faults whose names begin so")
    arguments = parser.parse_args()
    chosen = [f for f in faults(is_short=arguments.short) if f.name.startswith(tuple(arguments.only))]
    if not chosen:
        parser.error(f"no fault begins so; there are: {', '.join(f.name for f in faults(is_short=False))}")
    print(f"seed {arguments.seed}\n{Row.HEAD}", flush=True)
    # Otherwise processes and mounts would be left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    rng, began_s, broken = random.Random(arguments.seed), time.monotonic(), []
    with (
        tempfile.TemporaryDirectory(prefix="feedback-loops-chaos-") as folder,
        service_under_load(Path(folder), rng) as load,
    ):
        for _ in range(arguments.rounds):
            rng.shuffle(chosen)
            broken += run(load, chosen)
    print(f"{(time.monotonic() - began_s) / 60:.1f} minutes", flush=True)
    print("\n".join(broken) or "every promise kept", flush=True)
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()

"""Kills processes of a real service under load, and counts what was promised against what came.

    python -m tests.chaos.storm [--rounds 30] [--seed N]

Each row: what was killed, clicks answered and not, clicks answered but not delivered (lost), events recorded twice,
repeats at the handler, and the longest that an answered click took to the handler.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psutil

from tests.chaos.clicks import Click, Clicks
from tests.service import Account, Service, Sink, eventually, running

#: Seconds within which the service must carry events again after the loss of a process of that kind.
RECOVERY_S = {
    "front": 5.0,
    "gateway": 15.0,
    "ledger": 5.0,
    "enricher": 5.0,
    "loop": 5.0,
    "supervisor": 5.0,
    "raylet": 30.0,
    "gcs": 30.0,
    "keeper": 60.0,
    "tree": 60.0,
}
#: While these are away clicks cannot be answered.
STOPS_ANSWERING = {"front", "keeper", "tree"}


@dataclass(frozen=True, slots=True)
class Row:
    """What one round came to."""

    victim: str
    answered: int
    unanswered: int
    lost: int
    recorded_twice: int
    repeats: int
    #: The longest that an answered click took to its handler.
    recovery_s: float

    def __str__(self) -> str:
        return (
            f"{self.victim:>10}  answered {self.answered:5}  unanswered {self.unanswered:4}  lost {self.lost}  "
            f"recorded twice {self.recorded_twice}  repeats {self.repeats:3}  recovered in {self.recovery_s:5.2f} s"
        )

    def broken_promises(self) -> list[str]:
        """What this round shows that must never be."""
        broken = []
        if self.lost:
            broken.append(f"{self.lost} answered clicks were not delivered")
        if self.recorded_twice:
            broken.append(f"{self.recorded_twice} events were recorded twice")
        if self.unanswered and self.victim not in STOPS_ANSWERING:
            broken.append(f"{self.unanswered} clicks were not answered")
        if self.recovery_s > RECOVERY_S[self.victim]:
            broken.append(f"took {self.recovery_s:.1f} s, {RECOVERY_S[self.victim]:.0f} s at most")
        return broken


class Storm:
    """A service under load, whose processes get killed."""

    def __init__(self, service: Service, sink: Sink, rng: random.Random, rate: float = 150.0) -> None:
        self.service = service
        self.sink = sink
        self.rng = rng
        self.rate = rate
        self.account: Account = service.account()
        self.account.loop(sink)
        self._next = 0

    def round(self, victim: str, seconds: float = 4.0) -> Row:
        """Kills `victim` at a random moment of `seconds` of clicks."""
        first, count = self._next, int(self.rate * seconds)
        self._next += count
        paths = self.account.click_paths(count, first=first)
        before = self.sink.stats()["posts"]
        clicks = Clicks(self.service.port, paths, first, self.rate).start()
        time.sleep(self.rng.uniform(0.2, seconds * 0.75))  # the random moment is the point, no signal stands for it
        self.kill(victim)
        done = clicks.finish()
        return self._settle(victim, done, before)

    def kill(self, victim: str) -> None:
        """kill -9; the keeper and the whole tree are started again by hand, all else must come back by itself."""
        if victim == "tree":
            self.service.kill()
        else:
            victims = self.service.processes(victim)
            if not victims:
                raise AssertionError(f"there is no process of kind {victim} to kill")
            with contextlib.suppress(psutil.NoSuchProcess):
                self.rng.choice(victims).kill()
        if victim in {"keeper", "tree"}:
            self.service.kill()
            self.service.start(wait=False)

    def _settle(self, victim: str, done: list[Click], posts_before: int) -> Row:
        answered = {c.number for c in done if c.status == 302}
        self.service.wait_ready(60)
        with contextlib.suppress(AssertionError):
            eventually(lambda: not self._missing(answered), 60, "every answered click was delivered", 0.2)
        arrivals = self.sink.arrivals()
        sent = {c.number: c.sent_ns for c in done}
        delivered = [n for n in sent if arrivals[n]]
        recorded = Counter(self._recorded(min(sent), max(sent)))
        return Row(
            victim=victim,
            answered=len(answered),
            unanswered=len(done) - len(answered),
            lost=len(self._missing(answered)),
            recorded_twice=sum(1 for times in recorded.values() if times > 1),
            repeats=self.sink.stats()["posts"] - posts_before - len(delivered),
            recovery_s=max((arrivals[n] - sent[n]) / 1e9 for n in delivered) if delivered else float("inf"),
        )

    def _missing(self, answered: set[int]) -> list[int]:
        arrivals = self.sink.arrivals()
        return [n for n in answered if not arrivals[n]]

    def _recorded(self, lowest: int, highest: int) -> Iterator[int]:
        """The number of each click event in the log, newest first, back to the round's first."""
        cursor: str | None = None
        while True:
            query = {"type": "click", "limit": 200} | ({"cursor": cursor} if cursor else {})
            page = self.account.call("GET", "/v1/events", params=query).json()
            numbers = [int(parse_qs(urlsplit(event["fields"]["original"]).query)["n"][0]) for event in page["data"]]
            yield from (n for n in numbers if lowest <= n <= highest)
            cursor = page["next"]
            if cursor is None or (numbers and max(numbers) < lowest):
                return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    rng = random.Random(arguments.seed)
    broken: list[str] = []
    with tempfile.TemporaryDirectory(prefix="feedback-loops-chaos-") as folder:  # noqa: SIM117
        with running(Path(folder) / "data") as (service, sink):
            storm = Storm(service, sink, rng)
            victims = list(RECOVERY_S)
            for number in range(arguments.rounds):
                if number % len(victims) == 0:
                    rng.shuffle(victims)
                row = storm.round(victims[number % len(victims)])
                print(row, flush=True)
                broken += [f"{row.victim}: {promise}" for promise in row.broken_promises()]
    print("\n".join(broken) or "every promise kept", flush=True)
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()

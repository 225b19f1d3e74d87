"""A real service under load, faults one after the other, and what was promised counted against what came."""

from __future__ import annotations

import contextlib
import random
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from tests.chaos.clicks import Click, Clicks
from tests.chaos.sandbox import Sandbox
from tests.service import Account, Service, Sink, eventually

#: Clicks are sent for this long before a fault begins, and after it has ended.
LEAD_S = (0.3, 1.2)
TAIL_S = 1.0
#: What is not there this long after the bound on recovery counts as lost.
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What a fault may lead to. Lost clicks and events recorded twice are never allowed."""

    #: Seconds from the fault's end, in which everything that was answered before or meanwhile arrives.
    recovery_s: float
    #: Whether clicks may be without an answer.
    unanswered: bool = False
    #: Whether a handler may get an event twice: a process died or stood still between a POST and the record of it.
    repeats: bool = False
    #: Seconds from a click's being sent to its arrival, at most, also while the fault lasts; None: as long as it lasts.
    delay_s: float | None = None


class Fault(ABC):
    """Something that goes wrong, for a while or once."""

    #: Seconds between begin and end.
    lasts_s: float = 0.0
    #: Clicks go on for so much longer than that, at most; beginning and ending it may take as long.
    margin_s: float = 25.0

    def __init__(self, name: str, allowed: Allowed) -> None:
        self.name = name
        self.allowed = allowed

    def reason_to_skip(self, load: ServiceUnderLoad) -> str | None:
        """Why it cannot be tried here, if it cannot."""
        return None

    def prepare(self, load: ServiceUnderLoad) -> Mapping[int, int]:
        """What has to be there before the clicks begin. Gives the numbers it is owed besides, and since when (ns)."""
        return {}

    @abstractmethod
    def begin(self, load: ServiceUnderLoad) -> None: ...

    def end(self, load: ServiceUnderLoad) -> None:  # noqa: B027
        """Ends it; called once for each `begin`, even one that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one fault came to."""

    fault: str
    allowed: Allowed
    answered: int
    unanswered: int
    #: Answered clicks that arrived, and answered ones that did not.
    delivered: int
    lost: int
    #: POSTs that the handler took beyond the first of each event.
    repeats: int
    recorded_twice: int
    #: The longest that anything owed took, counted from the fault's end when that came later.
    recovery_s: float
    #: The longest that a click took, from being sent to its arrival at the handler, and to its answer.
    delay_s: float
    answer_s: float

    HEAD: ClassVar[str] = (
        f"{'fault':<18}{'answered':>9}{'unanswered':>11}{'delivered':>10}{'repeated':>9}{'lost':>6}"
        f"{'recorded twice':>15}{'recovery s':>11}{'delay s':>9}{'answer s':>9}"
    )

    def __str__(self) -> str:
        return (
            f"{self.fault:<18}{self.answered:>9}{self.unanswered:>11}{self.delivered:>10}{self.repeats:>9}"
            f"{self.lost:>6}{self.recorded_twice:>15}{self.recovery_s:>11.2f}"
            f"{self.delay_s:>9.2f}{self.answer_s:>9.2f}"
        )

    def broken_promises(self) -> list[str]:
        """What this row shows that must never be."""
        broken = []
        if self.lost:
            broken.append(f"{self.lost} answered clicks were not delivered")
        if self.recorded_twice:
            broken.append(f"{self.recorded_twice} events were recorded twice")
        if self.unanswered and not self.allowed.unanswered:
            broken.append(f"{self.unanswered} clicks were not answered")
        if self.repeats and not self.allowed.repeats:
            broken.append(f"{self.repeats} events were repeated, though no process had died or stood still")
        if self.recovery_s > self.allowed.recovery_s:
            broken.append(f"took {self.recovery_s:.1f} s, {self.allowed.recovery_s:.0f} s at most")
        if self.allowed.delay_s is not None and max(self.delay_s, self.answer_s) > self.allowed.delay_s:
            took = f"{self.delay_s:.1f} s to its handler, or {self.answer_s:.1f} s to its answer"
            broken.append(f"a click took {took}, {self.allowed.delay_s:.0f} s at most")
        return broken


class ServiceUnderLoad:
    """A service under a steady load of clicks."""

    def __init__(self, service: Service, sink: Sink, sandbox: Sandbox | None, rng: random.Random, rate: float) -> None:
        self.service = service
        self.sink = sink
        self._sandbox = sandbox
        self.rng = rng
        self.rate = rate
        self.account: Account = service.account()
        self.loop_ids = self.make_loops(sandbox.handler_url(sink) if sandbox else sink.url)
        #: The tracked links, each in the place of its number; the first ones have been clicked.
        self._paths: list[str] = []
        self._clicked = 0

    def make_loops(self, url: str) -> list[str]:
        """Makes loops of which one is owed each click, and gives their ids."""
        return [self.account.loop(self.sink, url=url)["id"]]

    def tags(self, number: int) -> list[str]:
        """Those of the message with the link of a number."""
        return ["welcome"]

    @property
    def loop_id(self) -> str:
        """The loop, where there is one only."""
        (loop_id,) = self.loop_ids
        return loop_id

    @property
    def sandbox(self) -> Sandbox:
        """What surrounds the service, where a fault needs it."""
        assert self._sandbox is not None
        return self._sandbox

    def now_ns(self) -> int:
        """Unix time as the service has it."""
        return self._sandbox.now_ns() if self._sandbox else time.time_ns()

    def call(self, method: str, action: str = "", **arguments: Any) -> dict[str, Any]:
        """A call of the API about the loop, which must succeed."""
        answer = self.account.call(method, f"/v1/feedback-loops/{self.loop_id}{action}", **arguments)
        assert answer.is_success, f"{method} {action}: {answer.status_code} {answer.text}"
        found: dict[str, Any] = answer.json()
        return found

    def click(self, count: int, rate: float) -> Clicks:
        """Begins to click on `count` links, each once, at `rate` a second."""
        first = self._clicked
        missing = first + count - len(self._paths)
        if missing > 0:
            self._paths += self.account.click_paths(missing, first=len(self._paths), tags=self.tags)
        return self.clicks(self._paths[first : first + count], first, rate).start()

    def clicks(self, paths: list[str], first: int, rate: float) -> Clicks:
        """Those who click on these paths; not started."""
        return Clicks(self.service.port, paths, first, rate)

    def note(self, clicks: Clicks, done: list[Click]) -> list[Click]:
        """Takes note of which links are used up."""
        self._clicked += clicks.turns
        return done

    def round(self, fault: Fault) -> Row:
        """Has the fault begin and end under load, waits until all is well again, and counts."""
        self.service.wait_ready()
        owed = dict(fault.prepare(self))
        before = self.sink.stats()
        since_ns = self.now_ns()
        clicks = self.click(int(self.rate * (fault.lasts_s + fault.margin_s)), self.rate)
        try:
            time.sleep(self.rng.uniform(*LEAD_S))  # the random moment is the point, no signal stands for it
            try:
                fault.begin(self)
                time.sleep(fault.lasts_s)
            finally:
                fault.end(self)
            ended_ns = time.monotonic_ns()
            time.sleep(TAIL_S)
        finally:
            done = self.note(clicks, clicks.stop())
        answered = {c.number: c.sent_ns for c in done if c.status == 302}
        owed |= answered
        lost = self.missing_in_the_end(owed, fault.allowed.recovery_s + PATIENCE_S)
        self.service.wait_ready()
        # A repeat may come after all else: it belongs to this row.
        eventually(
            self._nothing_is_pending, fault.allowed.recovery_s + PATIENCE_S, "nothing waits to be delivered", 0.2
        )
        arrivals, after = self.sink.arrivals(), self.sink.stats()
        late_ns = [arrivals[n] - max(sent_ns, ended_ns) for n, sent_ns in owed.items() if arrivals[n]]
        delays_ns = [arrivals[n] - sent_ns for n, sent_ns in answered.items() if arrivals[n]]
        recorded = Counter(self._recorded({c.number for c in done}, min(since_ns, self.now_ns())))
        return Row(
            fault=fault.name,
            allowed=fault.allowed,
            answered=len(answered),
            unanswered=len(done) - len(answered),
            delivered=sum(1 for n in answered if arrivals[n]),
            lost=lost,
            repeats=(after["posts"] - before["posts"]) - (after["unique"] - before["unique"]),
            recorded_twice=sum(1 for times in recorded.values() if times > 1),
            recovery_s=max(0, *late_ns) / 1e9 if late_ns else float("inf"),
            delay_s=max(delays_ns, default=0) / 1e9,
            answer_s=max((c.answered_ns - c.sent_ns for c in done if c.status == 302), default=0) / 1e9,
        )

    def missing_in_the_end(self, owed: Collection[int], patience_s: float) -> int:
        """How many of these numbers the handler never got, after some patience."""

        def missing() -> int:
            arrivals = self.sink.arrivals()
            return sum(1 for n in owed if not arrivals[n])

        with contextlib.suppress(AssertionError):
            eventually(lambda: not missing(), patience_s, "all arrived", 0.2)
        return missing()

    def _nothing_is_pending(self) -> bool:
        return all(map(self._has_nothing_pending, self.loop_ids))

    def _has_nothing_pending(self, loop_id: str) -> bool:
        path = f"/v1/feedback-loops/{loop_id}/deliveries"
        answer = self.account.call("GET", path, params={"state": "pending", "limit": 1})
        return answer.status_code == 200 and not answer.json()["data"]

    def _recorded(self, numbers: Container[int], since_ns: int) -> Iterator[int]:
        """The number of each click event in the log since then, as often as it is there."""
        query: dict[str, Any] = {"type": "click", "limit": 200, "since": utc_text(since_ns)}
        while True:
            answer = self.account.call("GET", "/v1/events", params=query)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            for event in page["data"]:
                number = int(parse_qs(urlsplit(event["fields"]["original"]).query)["n"][0])
                if number in numbers:
                    yield number
            if page["next"] is None:
                return
            query["cursor"] = page["next"]


def utc_text(at_ns: int) -> str:
    """The second of a Unix time as the API reads it."""
    return datetime.fromtimestamp(at_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""Real service under a steady load of clicks: injects faults, and compares the results with the promises."""

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

#: Duration of clicks before a fault begins (random in this range), and after it has ended.
LEAD_S = (0.3, 1.2)
TAIL_S = 1.0
#: An event that has not arrived this long after the allowed recovery time counts as lost.
PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """Allowed consequences of a fault. Lost clicks and events recorded twice are never allowed."""

    #: Seconds after the fault's end within which every click answered until then must arrive.
    recovery_s: float
    #: Whether clicks may remain unanswered.
    unanswered: bool = False
    #: Whether a handler may get an event twice, because a process died or paused between a POST and its record.
    repeats: bool = False
    #: Maximum seconds from a click to its arrival, even during the fault; None: no limit while the fault lasts.
    delay_s: float | None = None


class Fault(ABC):
    """A failure, momentary or lasting."""

    #: Seconds between begin and end.
    lasts_s: float = 0.0
    #: Maximum duration of clicks beyond `lasts_s`, which includes the time to begin and end the fault.
    margin_s: float = 25.0
    #: Clicks per second; None: the usual rate.
    rate: float | None = None

    def __init__(self, name: str, allowed: Allowed) -> None:
        self.name = name
        self.allowed = allowed

    def reason_to_skip(self, load: ServiceUnderLoad) -> str | None:
        """Why this fault cannot be injected here, or None if it can."""
        return None

    def prepare(self, load: ServiceUnderLoad) -> Mapping[int, int]:
        """Prepares the fault before the clicks begin. Returns extra numbers that must arrive, with their times (ns)."""
        return {}

    @abstractmethod
    def begin(self, load: ServiceUnderLoad) -> None: ...

    def end(self, load: ServiceUnderLoad) -> None:  # noqa: B027
        """Ends the fault; called once for each `begin`, even after one that failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Results of one fault."""

    fault: str
    allowed: Allowed
    answered: int
    unanswered: int
    #: Answered clicks that arrived, and those that did not.
    delivered: int
    lost: int
    #: POSTs that the handler accepted beyond the first of each event.
    repeats: int
    recorded_twice: int
    #: Longest time until an expected event arrived, counted from its click or the fault's end, whichever is later.
    recovery_s: float
    #: Longest time from a click to its arrival at the handler, and to its answer.
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
        """The promises that these results break."""
        broken = []
        if self.lost:
            broken.append(f"{self.lost} answered clicks were not delivered")
        if self.recorded_twice:
            broken.append(f"{self.recorded_twice} events were recorded twice")
        if self.unanswered and not self.allowed.unanswered:
            broken.append(f"{self.unanswered} clicks were not answered")
        if self.repeats and not self.allowed.repeats:
            broken.append(f"{self.repeats} events were repeated, although no process died or paused")
        if self.recovery_s > self.allowed.recovery_s:
            broken.append(f"recovery took {self.recovery_s:.1f} s, at most {self.allowed.recovery_s:.0f} s are allowed")
        if self.allowed.delay_s is not None and max(self.delay_s, self.answer_s) > self.allowed.delay_s:
            took = f"{self.delay_s:.1f} s to the handler or {self.answer_s:.1f} s to the answer"
            broken.append(f"a click took {took}, at most {self.allowed.delay_s:.0f} s are allowed")
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
        #: The tracked links, indexed by number; the first `_clicked` of them are used.
        self._paths: list[str] = []
        self._clicked = 0

    def make_loops(self, url: str) -> list[str]:
        """Creates loops, exactly one of which gets each click; returns their ids."""
        return [self.account.loop(self.sink, url=url)["id"]]

    def tags(self, number: int) -> list[str]:
        """Tags of the message with the link of that number."""
        return ["welcome"]

    @property
    def loop_id(self) -> str:
        """The id of the only loop."""
        (loop_id,) = self.loop_ids
        return loop_id

    @property
    def sandbox(self) -> Sandbox:
        """The service's sandbox, for faults that need one."""
        assert self._sandbox is not None
        return self._sandbox

    def now_ns(self) -> int:
        """Unix time by the service's clock."""
        return self._sandbox.clock.now_ns() if self._sandbox else time.time_ns()

    def call(self, method: str, action: str = "", **arguments: Any) -> dict[str, Any]:
        """Calls the API for the loop; the call must succeed."""
        answer = self.account.call(method, f"/v1/feedback-loops/{self.loop_id}{action}", **arguments)
        assert answer.is_success, f"{method} {action}: {answer.status_code} {answer.text}"
        found: dict[str, Any] = answer.json()
        return found

    def click(self, count: int, rate: float) -> Clicks:
        """Starts to click on `count` links, each once, at `rate` per second."""
        first = self._clicked
        missing = first + count - len(self._paths)
        if missing > 0:
            self._paths += self.account.click_paths(missing, first=len(self._paths), tags=self.tags)
        return self.clicks(self._paths[first : first + count], first, rate).start()

    def clicks(self, paths: list[str], first: int, rate: float) -> Clicks:
        """Clicks on these paths, not started."""
        return Clicks(self.service.port, paths, first, rate)

    def note(self, clicks: Clicks, done: list[Click]) -> list[Click]:
        """Records how many links are used."""
        self._clicked += clicks.turns
        return done

    def round(self, fault: Fault) -> Row:
        """Injects the fault under load, waits for recovery, and returns the results."""
        self.service.wait_ready()
        owed = dict(fault.prepare(self))
        before = self.sink.stats()
        since_ns = self.now_ns()
        rate = fault.rate or self.rate
        clicks = self.click(int(rate * (fault.lasts_s + fault.margin_s)), rate)
        try:
            time.sleep(self.rng.uniform(*LEAD_S))  # the fault begins at a random moment on purpose
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
        # A repeat may arrive last, and belongs to this row.
        eventually(self._nothing_is_pending, fault.allowed.recovery_s + PATIENCE_S, "no delivery is pending", 0.2)
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
        """How many of these numbers the handler has not got after `patience_s`."""

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
        """The number of each recorded click event since then; twice if it is recorded twice."""
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
    """A Unix time in the API's format, to the second."""
    return datetime.fromtimestamp(at_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

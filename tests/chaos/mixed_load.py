"""Mixed load for fault tests: clicks, reports, returned mails and profile changes, and a count of what was recorded."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import httpx

from benchmarks.reports import mail, report
from tests.service import Account

#: What is sent, and how often per second.
RATES: Final = {"click": 40.0, "report": 20.0, "mail": 8.0, "spooled mail": 2.0, "profile": 15.0}
#: Reports of one request.
PER_CALL: Final = 3
PROFILES: Final = 20
#: Longer than the mails that the journal holds itself.
SPOOLED_BYTES: Final = 100_000
#: Numbers of spooled mails begin here.
SPOOLED_FROM: Final = 500_000
TRIGGERS: Final = ["click", "delivery", "failure", "bounce", "create", "update"]
_PERSON: Final = re.compile(r"person(\d+)@")
_REPORT: Final = re.compile(r"n=(\d+)")


@dataclass(frozen=True, slots=True)
class Counts:
    """Events by what was sent: those that had to be recorded, those that were not, and those recorded twice."""

    owed: int
    lost: int
    recorded_twice: int


class MixedLoad:
    """Sends everything in `RATES` from `start` to `stop`.

    Clicks are sent once. Everything else is sent again until it is answered, as its senders do: the same report, mail
    or profile twice is one event.
    """

    def __init__(self, account: Account, seconds: float) -> None:
        """Registers links for so many seconds; after that, there are no more clicks."""
        self._account = account
        self._paths = account.click_paths(int(RATES["click"] * seconds))
        self._stopped = threading.Event()
        #: Numbers of the answered events of each kind.
        self.answered: dict[str, list[int]] = {kind: [] for kind in RATES}
        self._threads = [threading.Thread(target=self._send_all, args=(kind,), daemon=True) for kind in RATES]

    def start(self) -> MixedLoad:
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """Waits for the answers to what was sent."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(60)

    def sent(self) -> dict[str, int]:
        """How much of each kind was answered."""
        return {kind: len(numbers) for kind, numbers in self.answered.items()}

    def counts(self) -> Counts:
        """Compares what was answered with the event log."""
        recorded = Counter(_name_of(event) for event in self._events())
        owed = [name for kind, numbers in self.answered.items() for number in numbers for name in _names(kind, number)]
        twice = sum(1 for times in recorded.values() if times > 1)
        return Counts(len(owed), sum(1 for name in owed if name not in recorded), twice)

    # --- in a thread of each kind

    def _send_all(self, kind: str) -> None:
        number = SPOOLED_FROM if kind == "spooled mail" else 0
        base_url = self._account.service.http.base_url
        with httpx.Client(base_url=base_url, timeout=20, trust_env=False, verify=False) as http:
            while not self._stopped.wait(1 / RATES[kind]):
                if kind == "click":
                    if number == len(self._paths):
                        return
                    is_answered = self._is_answered(http, kind, number)
                else:
                    is_answered = self._send_until_answered(http, kind, number)
                count = PER_CALL if kind == "report" else 1
                if is_answered:
                    self.answered[kind] += range(number, number + count)
                number += count

    def _send_until_answered(self, http: httpx.Client, kind: str, number: int) -> bool:
        while not self._is_answered(http, kind, number):
            if self._stopped.wait(0.2):
                return False
        return True

    def _is_answered(self, http: httpx.Client, kind: str, number: int) -> bool:
        with suppress(httpx.HTTPError):
            answer = http.send(http.build_request(**self._request(kind, number)))
            return answer.status_code in {200, 201, 202, 302}
        return False

    def _request(self, kind: str, number: int) -> dict[str, Any]:
        if kind == "click":
            return {"method": "GET", "url": self._paths[number]}
        headers = self._account.headers
        if kind == "report":
            reports = [report(n) for n in range(number, number + PER_CALL)]
            return {"method": "POST", "url": "/v1/events", "json": reports, "headers": headers}
        if kind == "profile":
            url = f"/v1/databases/1/profiles/{number % PROFILES}"
            return {"method": "PUT", "url": url, "json": {"fields": {"n": number}}, "headers": headers}
        content = mail(number, SPOOLED_BYTES) if kind == "spooled mail" else mail(number)
        headers = headers | {"Content-Type": "message/rfc822"}
        return {"method": "POST", "url": "/v1/mime", "content": content, "headers": headers}

    # --- the event log

    def _events(self) -> Iterator[dict[str, Any]]:
        query: dict[str, Any] = {"limit": 200}
        while True:
            answer = self._account.call("GET", "/v1/events", params=query)
            assert answer.status_code == 200, answer.text
            page = answer.json()
            yield from page["data"]
            if page["next"] is None:
                return
            query["cursor"] = page["next"]


def _names(kind: str, number: int) -> list[tuple[str, int]]:
    """The events that follow from what was sent: type and number."""
    if "mail" in kind:
        return [("failure", number), ("bounce", number)]
    return [({"report": "delivery"}.get(kind, kind), number)]


def _name_of(event: dict[str, Any]) -> tuple[str, int]:
    """Type and number of an event in the log."""
    type_, fields = event["type"], event["fields"]
    if type_ == "click":
        return type_, int(parse_qs(urlsplit(fields["original"]).query)["n"][0])
    if type_ == "delivery":
        return type_, _number(_REPORT, fields["description"])
    if type_ in {"failure", "bounce"}:
        return type_, _number(_PERSON, fields["recipient"])
    return "profile", int(fields["fields"]["n"])


def _number(pattern: re.Pattern[str], text: str) -> int:
    found = pattern.search(text)
    assert found is not None, json.dumps(text)
    return int(found[1])

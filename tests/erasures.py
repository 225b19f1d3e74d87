"""Erasures of a person through the API, and a load of hits and reports about that person meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote

import httpx
import psutil

from tests.background_load import BackgroundLoad
from tests.e2e.test_main_job import path_of, verified_loop
from tests.e2e.test_reports_survive import all_of
from tests.handler import Handler
from tests.personal_traces import where
from tests.service import Account, Service, eventually

AGENT: Final = "Ibis-Agent-90017/2"
#: Of a load's person.
MESSAGES: Final = 60
_REFERENCES: Final = "Marabou-reference"
_BOUNCE: Final = """\
From: MAILER-DAEMON@mx.example
To: bounces@sender.example
Subject: Undelivered Mail Returned to Sender
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

The mail to {email} could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example

Final-Recipient: rfc822; {email}
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <{email}>: no such user {name}

--b
Content-Type: message/rfc822

From: shop@sender.example
To: {email}
Message-ID: <{reference}>
Subject: Hello {name}

Hello
--b--
"""


def bounce(email: str, reference: str, name: str) -> str:
    """A returned mail: the message with this reference, for the person of this name, could not be delivered."""
    return _BOUNCE.format(email=email, reference=reference, name=name)


def erase(account: Account, email: str) -> str:
    """The id of the erasure, which has started."""
    answer = account.call("DELETE", f"/v1/recipients/{quote(email, safe='')}")
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def shown_erasure(account: Account, erasure_id: str) -> dict[str, Any]:
    """The erasure; empty while the service does not answer."""
    with suppress(httpx.HTTPError):
        answer = account.call("GET", f"/v1/erasures/{erasure_id}")
        if answer.status_code == 200:
            found: dict[str, Any] = answer.json()
            return found
    return {}


def completed_erasure(account: Account, erasure_id: str, timeout_s: float = 90) -> dict[str, Any]:
    """The erasure, once it has completed."""

    def completed() -> bool:
        return shown_erasure(account, erasure_id).get("state") == "completed"

    try:
        eventually(completed, timeout_s, "the erasure has completed", 0.2)
    except AssertionError:
        sys.stderr.write(f"{shown_erasure(account, erasure_id)}\n{account.service.log.read_text()[-4000:]}")
        raise
    return shown_erasure(account, erasure_id)


class Person:
    """A person with messages, and a verified loop whose handler accepts nothing about them."""

    def __init__(self, account: Account, handler: Handler, email: str) -> None:
        self.account = account
        self.email = email
        self.handler = handler
        handler.status = 500
        self.loop_id = verified_loop(account, handler, triggers=["open", "click", "failure"])["id"]
        self.messages = account.messages(self._specs())

    def _specs(self) -> Iterator[dict[str, Any]]:
        for n in range(MESSAGES):
            links = [f"https://shop.example/?n={n}"]
            yield {
                "recipient": self.email,
                "links": links,
                "tags": ["t"],
                "reference": f"{_REFERENCES}-{n}@mail.example",
            }

    @property
    def secrets(self) -> list[str]:
        """Texts that reveal the person."""
        return [self.email, self.email.lower(), AGENT, _REFERENCES]

    def bounces_late(self, account: Account) -> None:
        """A mail to the person comes back to the account's service, and counts as one about someone who was erased."""
        content = bounce(self.email, f"{_REFERENCES}-0@mail.example", "Marabou").encode()
        answer = account.call("POST", "/v1/mime", content=content, headers={"Content-Type": "message/rfc822"})
        assert answer.status_code == 202, answer.text

        def recorded() -> dict[str, Any] | None:
            reports = {report["id"]: report for report in all_of(self.account, "/v1/reports")}
            return reports.get(answer.json()["id"])

        report = eventually(recorded, 60, "the late bounce is recorded", 0.2)
        assert (report["state"], report["events"]) == ("erased", [])

    def check_erased(self) -> None:
        """What happened is still there, without the person; nothing can be delivered or begun again."""
        call, message_id = self.account.call, self.messages[0]["id"]
        events = all_of(self.account, "/v1/events")
        assert events
        assert all(event.get("erased") for event in events)
        assert where({"events": str(events).encode()}, self.secrets) == {}
        deliveries = all_of(self.account, f"/v1/feedback-loops/{self.loop_id}/deliveries")
        assert {delivery["state"] for delivery in deliveries} == {"erased"}
        retried = call("POST", f"/v1/deliveries/{deliveries[0]['id']}/retry")
        assert (retried.status_code, retried.json()["type"]) == (409, "/problems/erased")
        again = call("POST", "/v1/messages", json={"recipient": self.email, "id": message_id})
        assert (again.status_code, again.json()["type"]) == (409, "/problems/erased")
        shown = call("GET", f"/v1/messages/{message_id}").json()
        assert (shown["recipient"], "erased_at" in shown, shown["links"]) == (None, True, {})


class PersonLoad(BackgroundLoad):
    """Hits and reports about one person, at the front end of the account's service."""

    def __init__(self, person: Person, account: Account) -> None:
        super().__init__(account, ("hit", "report"), pause_s=0.01)
        self._person = person

    def send(self, http: httpx.Client, kind: str, number: int) -> int:
        message = self._person.messages[number % MESSAGES]
        if kind == "hit":
            url = [message["open_url"], *message["links"].values()][number % 2]
            return http.get(path_of(url), headers={"User-Agent": AGENT}).status_code in {200, 302}
        report = {"type": "failure", "message": message["id"], "event": str(number)}
        report["description"] = f"no {self._person.email} here"
        return http.post("/v1/events", json=report, headers=self.account.headers).status_code == 202


def restart_front_end(service: Service) -> None:
    """Kills it. Its successor gives the journal a new file, in which nothing is left of what came after an erasure."""
    front_ends = service.processes("front")
    for process in front_ends:
        process.kill()
    psutil.wait_procs(front_ends, timeout=10)
    eventually(service.is_ready, 60, "the front end is ready again", 0.2)


def check_nothing_is_left(person: Person, places: Callable[[], dict[str, bytes]]) -> None:
    """These places soon have no trace of the person."""
    with suppress(AssertionError):
        eventually(lambda: not where(places(), person.secrets), 30, "nothing is left", 1.0)
    assert where(places(), person.secrets) == {}

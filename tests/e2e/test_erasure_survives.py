"""Erasure on the real service while hits and reports of the person arrive, and while processes are killed."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import httpx
import pytest

from tests.e2e.test_main_job import path_of, verified_loop
from tests.e2e.test_reports_survive import all_of
from tests.handler import Handler
from tests.personal_traces import traces
from tests.service import Account, Service, eventually, running

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

EMAIL: Final = "Kite.Runner41@kvx-survives.example"
AGENT: Final = "Ibis-Agent-90017/2"
MESSAGES: Final = 60
#: Processes that take part in an erasure, in the order in which they are killed.
ROLES: Final = ("ledger", "front", "host", "gateway", "enricher", "ledger")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    directory: Path = tmp_path_factory.mktemp("erasure") / "data"
    with running(directory, FEEDBACK_LOOPS_RETRY_SCHEDULE="0.2,0.2,600") as (made, _):
        yield made


class Load:
    """Hits and reports of one person's messages, until it is stopped."""

    def __init__(self, account: Account, messages: list[dict[str, Any]]) -> None:
        self._account = account
        self._messages = messages
        self._stopped = threading.Event()
        self.sent: Counter[str] = Counter()
        self._threads = [threading.Thread(target=self._send, args=(kind,)) for kind in ("hit", "report")]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _send(self, kind: str) -> None:
        number = 0
        with httpx.Client(base_url=self._account.service.http.base_url, timeout=10, trust_env=False) as http:
            while not self._stopped.wait(0.01):
                message = self._messages[number % MESSAGES]
                with suppress(httpx.HTTPError):
                    self.sent[kind] += self._send_one(http, kind, message, number)
                number += 1

    def _send_one(self, http: httpx.Client, kind: str, message: dict[str, Any], number: int) -> bool:
        if kind == "hit":
            url = [message["open_url"], *message["links"].values()][number % 2]
            return http.get(path_of(url), headers={"User-Agent": AGENT}).status_code in {200, 302}
        body = {"type": "failure", "message": message["id"], "event": str(number), "description": f"no {EMAIL} here"}
        return http.post("/v1/events", json=body, headers=self._account.headers).status_code == 202


def erase(account: Account, email: str = EMAIL) -> str:
    answer = account.call("DELETE", f"/v1/recipients/{quote(email, safe='')}")
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def is_completed(account: Account, erasure_id: str) -> bool:
    with suppress(httpx.HTTPError):
        answer = account.call("GET", f"/v1/erasures/{erasure_id}")
        return answer.status_code == 200 and answer.json()["state"] == "completed"
    return False


def registered(account: Account) -> list[dict[str, Any]]:
    specs = [{"recipient": EMAIL, "links": [f"https://shop.example/?n={n}"], "tags": ["t"]} for n in range(MESSAGES)]
    return account.messages(specs)


@pytest.mark.parametrize("is_killed", [False, True], ids=["load", "killed"])
def test_an_erasure_beside_a_load_completes(service: Service, is_killed: bool) -> None:
    """Nothing of the person is kept or sent once it has completed, and the counts of what was recorded before stay."""
    account = service.account()
    with Handler() as handler:
        handler.status = 500
        loop = verified_loop(account, handler, triggers=["open", "click", "failure"])
        messages = registered(account)
        load = Load(account, messages)
        try:
            eventually(lambda: min(load.sent["hit"], load.sent["report"]) > 60, 30, "the load is running")
            erasure_id = erase(account)
            for role in ROLES if is_killed else ():
                for process in service.processes(role):
                    process.kill()
                eventually(service.is_ready, 60, f"the service is ready without {role}", 0.2)
            eventually(lambda: is_completed(account, erasure_id), 90, "the erasure has completed", 0.2)
            sent_before = len(handler.got)
            reached = load.sent.copy()
            eventually(lambda: load.sent["report"] > reached["report"] + 30, 30, "the load goes on")
        finally:
            load.stop()
        late = {"type": "bounce", "message": messages[0]["id"], "envelope": EMAIL, "mime": f"To: {EMAIL}\r\n\r\ngone"}
        assert account.call("POST", "/v1/events", json=late).status_code == 202
        eventually(
            lambda: all_of(account, "/v1/reports")[0]["kind"] == "bounce", 30, "the late bounce has been recorded", 0.2
        )

        reports = all_of(account, "/v1/reports")
        assert reports[0]["state"] == "erased"
        assert reports[0]["events"] == []
        events = all_of(account, "/v1/events")
        assert events
        assert all(event.get("erased") for event in events)
        assert traces([EMAIL, EMAIL.lower(), AGENT], str(events).encode()) == set()
        deliveries = all_of(account, f"/v1/feedback-loops/{loop['id']}/deliveries")
        assert {delivery["state"] for delivery in deliveries} == {"erased"}
        assert len(handler.got) == sent_before
        retried = account.call("POST", f"/v1/deliveries/{deliveries[0]['id']}/retry")
        assert (retried.status_code, retried.json()["type"]) == (409, "/problems/erased")
        again = account.call("POST", "/v1/messages", json={"recipient": EMAIL, "id": messages[0]["id"]})
        assert (again.status_code, again.json()["type"]) == (409, "/problems/erased")
        shown = account.call("GET", f"/v1/messages/{messages[0]['id']}").json()
        assert (shown["recipient"], "erased_at" in shown, shown["links"]) == (None, True, {})

"""Answered reports and mails survive the death of any process and a ledger that is away, and are recorded once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import httpx
import psutil
import pytest

from api.http.authentication import key_hash
from tests.background_load import BackgroundLoad
from tests.service import Account, Service, eventually

LARGE = "x" * 100_000


def mail(name: str, size: str = "") -> bytes:
    return f"From: MAILER-DAEMON@mx.example\nSubject: {name}\n\nmail {name}\n{size}\n".encode()


def all_of(account: Account, path: str) -> list[dict[str, Any]]:
    """Every item of a list."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        params = {"limit": 200} | ({"cursor": cursor} if cursor else {})
        page = account.call("GET", path, params=params).json()
        found += page["data"]
        if (cursor := page["next"]) is None:
            return found


class Load(BackgroundLoad):
    """Hits, reports and mails; keeps the ids of the mails that were accepted."""

    def __init__(self, account: Account, click_paths: Sequence[str]) -> None:
        super().__init__(account, ("click", "delivery", "mail"), pause_s=0.005)
        self._click_paths = click_paths
        self.mails: list[str] = []

    def send(self, http: httpx.Client, kind: str, number: int) -> int:
        headers = self.account.headers
        if kind == "click":
            return http.get(self._click_paths[number % len(self._click_paths)]).status_code == 302
        if kind == "delivery":
            body = [{"type": "delivery", "message": "m", "event": f"{number}-{n}"} for n in range(3)]
            return len(body) * (http.post("/v1/events", json=body, headers=headers).status_code == 202)
        content = mail(str(number), LARGE if number % 5 == 0 else "")
        answer = http.post("/v1/mime", content=content, headers=headers | {"Content-Type": "message/rfc822"})
        if answer.status_code == 202:
            self.mails.append(answer.json()["id"])
        return answer.status_code == 202


@pytest.mark.parametrize("role", ["front", "gateway", "ledger", "enricher"])
def test_nothing_answered_is_lost_or_doubled_by_kill_9(service: Service, role: str) -> None:
    """Under a load of hits, reports and mails, each answered one is recorded once after a kill -9."""
    account = service.account()
    with Load(account, account.click_paths(500)) as load:
        load.wait_for_more(30)
        for process in service.processes(role):
            process.kill()
        load.wait_for_more(30)
    service.wait_ready()

    def recorded() -> bool:
        counts = Counter(event["type"] for event in all_of(account, "/v1/events"))
        reports = {report["id"] for report in all_of(account, "/v1/reports")}
        return (
            counts["delivery"] >= load.accepted["delivery"]
            and counts["click"] >= load.accepted["click"]
            and reports.issuperset(load.mails)
        )

    eventually(recorded, 60, "everything is recorded", 1.0)
    reports = all_of(account, "/v1/reports")
    states = {report["id"]: report["state"] for report in reports}
    assert {states.get(report_id) for report_id in load.mails} <= {"unmatched", "repeated"}
    deliveries = [report for report in reports if report["kind"] == "delivery" and report["state"] != "repeated"]
    events = [event for event in all_of(account, "/v1/events") if event["type"] == "delivery"]
    assert len(events) == len(deliveries) == len({event["id"] for event in events})
    eventually(lambda: not list((service.data_dir / "spool").iterdir()), 10, "spool files are removed")


def test_reports_are_accepted_while_the_ledger_is_away(service: Service) -> None:
    """Listed keys work, also after a restart of the front end; all that was answered is recorded once afterwards."""
    account = service.account()
    stranger = {"Authorization": "Bearer flk_unknown"}
    keys = service.data_dir / "api-keys.json"
    eventually(lambda: keys.exists() and len(json.loads(keys.read_text())) > 0, 10, "the list of keys is written")
    eventually(lambda: account.call("GET", "/v1/events").status_code == 200, 10, "the key works")
    eventually(lambda: key_hash(account.key) in keys.read_text(), 3, "the new key is listed within two seconds")
    ledger_processes = [*service.processes("ledger"), *service.processes("gateway"), *service.processes("enricher")]
    for process in ledger_processes:
        process.suspend()
    try:
        assert account.call("POST", "/v1/events", json=[_report(n) for n in range(500)]).status_code == 202
        [front] = service.processes("front")
        front.kill()
        psutil.wait_procs([front], timeout=10)

        def accepted() -> bool:
            with suppress(httpx.HTTPError):
                return account.call("POST", "/v1/events", json=[_report(n) for n in range(400, 900)]).status_code == 202
            return False

        eventually(accepted, 20, "the next front end accepts reports")
        for size in ("", LARGE):
            headers = {"Content-Type": "message/rfc822"}
            assert account.call("POST", "/v1/mime", content=mail("away", size), headers=headers).status_code == 202
    finally:
        for process in ledger_processes:
            process.resume()
    service.wait_ready()

    def recorded() -> bool:
        return len(all_of(account, "/v1/reports")) >= 1002

    eventually(recorded, 60, "all reports are recorded", 0.5)
    states = Counter(report["state"] for report in all_of(account, "/v1/reports"))
    assert states == {"unmatched": 902, "repeated": 100}
    assert Counter(event["type"] for event in all_of(account, "/v1/events")) == {"delivery": 900, "bounce": 2}
    answer = service.http.post("/v1/events", json=_report(0), headers=stranger)
    assert answer.status_code == 401


def test_a_revoked_key_is_refused_within_two_seconds(service: Service) -> None:
    """A front end follows the list of keys."""
    account = service.account()
    made = account.call("POST", "/v1/api-keys", json={"name": "second"}).json()
    second = {"Authorization": f"Bearer {made['api_key']}"}
    assert service.http.post("/v1/events", json=_report(0), headers=second).status_code == 202
    key_id = made["id"]
    assert account.call("DELETE", f"/v1/api-keys/{key_id}").status_code == 204
    eventually(
        lambda: service.http.post("/v1/events", json=_report(1), headers=second).status_code == 401, 3, "it is refused"
    )


def _report(number: int) -> dict[str, Any]:
    return {"type": "delivery", "message": "unknown", "event": str(number)}

"""The service with its ledger on PostgreSQL, with real processes, Ray and database server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from api.cli.commands import migrate
from api.http.authentication import key_hash
from tests.chaos.clicks import Clicks
from tests.postgres import PostgresServer, running_server
from tests.service import Service, Sink, eventually

#: Seconds for which the store is down.
DOWN_S = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that tests may stop, as long as it runs again afterwards."""
    with running_server() as made:
        yield made


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, server: PostgresServer) -> Iterator[Service]:
    """A service on a new database. It is ready, and each test leaves it so; its processes are ended afterwards."""
    made = Service(tmp_path_factory.mktemp("postgres") / "data", FEEDBACK_LOOPS_STORE=server.new_database())
    try:
        yield made.start()
    finally:
        made.end()


def count(server: PostgresServer, table: str) -> int:
    """Number of rows in the service's database."""
    ((rows,),) = server.run(f"SELECT count(*) FROM {table}", "ledger_1")
    return int(rows)


def arrived(sink: Sink, clicks: list[int]) -> bool:
    arrivals = sink.arrivals()
    return not [n for n in clicks if n >= len(arrivals) or not arrivals[n]]


def test_nothing_is_lost_when_the_store_fails(service: Service, server: PostgresServer, sink: Sink) -> None:
    """Clicks continue while the ledger's actor is killed, and the server restarts and is down (I1, I2, I3)."""
    account = service.account()
    deliveries = count(server, "deliveries")
    loop = account.loop(sink)
    paths = account.click_paths(3000)
    clicks = Clicks(service.port, paths, 0, 150).start()
    eventually(lambda: sink.stats()["unique"] > 100, 20, "clicks arrive")
    for process in service.processes("ledger"):
        process.kill()
    eventually(partial(_grows, sink, sink.stats()["unique"] + 100), 30, "clicks arrive again after the kill")
    server.crash()
    server.start()
    eventually(partial(_grows, sink, sink.stats()["unique"] + 100), 30, "clicks arrive again after the crash")
    server.stop()
    eventually(lambda: not service.is_ready(), 10, "the service is not ready")
    assert "FEEDBACK_LOOPS_STORE" in service.problems()
    assert str(server.port) in service.problems()
    strangers_learn_nothing(service, server)
    server.start()
    done = clicks.stop()
    answered = [click.number for click in done if click.status == 302]

    assert {click.status for click in done} == {302}
    eventually(lambda: arrived(sink, answered), 60, "every answered click was delivered")
    service.wait_ready()
    assert count(server, "deliveries") - deliveries == len(answered)
    assert server.run("SELECT event_id FROM deliveries GROUP BY event_id HAVING count(*) > 1", "ledger_1") == []
    assert "password" not in service.log.read_text()
    assert account.call("GET", f"/v1/feedback-loops/{loop['id']}").json()["state"] == "active"


@pytest.mark.timeout(240)  # the outage, and the limits below
def test_reports_survive_a_store_that_is_down_for_a_minute(service: Service, server: PostgresServer) -> None:
    """Reports and mails are answered all the time, also by a new front end, and each is recorded once afterwards."""
    account = service.account()
    events = count(server, "events")
    listed = service.data_dir / "api-keys.json"
    eventually(lambda: listed.exists() and key_hash(account.key) in listed.read_text(), 5, "the key is listed")
    server.stop()
    began_s, sent, mails, is_restarted = time.monotonic(), 0, 0, False
    while time.monotonic() - began_s < DOWN_S:
        if not is_restarted and time.monotonic() - began_s > DOWN_S / 2:
            (front,) = service.processes("front")
            front.kill()
            is_restarted = True
        body = [{"type": "delivery", "message": "m", "event": str(n)} for n in range(sent, sent + 20)]
        mail = f"From: a@b.example\n\nmail {mails}\n{'x' * 100_000}".encode()
        try:
            if account.call("POST", "/v1/events", json=body).status_code == 202:
                sent += len(body)
            headers = {"Content-Type": "message/rfc822"}
            mails += account.call("POST", "/v1/mime", content=mail, headers=headers).status_code == 202
        except httpx.HTTPError:  # the front end restarts; the same reports are sent again
            assert is_restarted
        time.sleep(0.25)  # the load
    server.start()
    service.wait_ready()

    def recorded() -> bool:
        return count(server, "events") - events == sent + mails

    assert sent > 1000
    eventually(recorded, 60, f"{sent} reports and {mails} mails are recorded, each once")
    eventually(lambda: not list((service.data_dir / "spool").iterdir()), 10, "spool files are removed")


def strangers_learn_nothing(service: Service, server: PostgresServer) -> None:
    """Without a valid key, no answer reveals where the store is."""
    for path in ("/readyz", "/healthz", "/metrics", "/dashboard/sign-in", "/v1/events", "/v1/feedback-loops"):
        for headers in ({}, {"Authorization": "Bearer flk_unknown"}):
            answer = service.http.get(path, headers=headers)
            assert str(server.port) not in answer.text, (path, answer.text)


def _grows(sink: Sink, beyond: int) -> bool:
    return sink.stats()["unique"] > beyond


def test_a_service_waits_for_its_store(service: Service, server: PostgresServer, sink: Sink) -> None:
    """Without its store a service answers clicks and reports the problem; it delivers them once the store is up."""
    account = service.account()
    account.loop(sink)
    (path,) = account.click_paths(1)
    service.terminate()
    server.stop()
    service.start(wait=False)
    eventually(lambda: "FEEDBACK_LOOPS_STORE" in service.problems(), 40, "the setting is named")
    assert service.http.get(path).status_code == 302
    server.start()
    service.wait_ready()
    eventually(lambda: sink.stats()["unique"] == 1, 20, "the click was delivered")


def test_a_service_continues_on_an_imported_ledger(
    tmp_path: Path, server: PostgresServer, sink: Sink, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a move to PostgreSQL the account, loop and links still work, and pending events are delivered."""
    service = Service(tmp_path / "data")
    try:
        service.start()
        account = service.account()
        loop = account.loop(sink)
        first, second = account.click_paths(2)
        account.call("POST", f"/v1/feedback-loops/{loop['id']}/pause")
        assert service.http.get(first).status_code == 302
        held = eventually(
            lambda: account.call("GET", f"/v1/feedback-loops/{loop['id']}/deliveries").json()["data"],
            10,
            "it is pending",
        )
        secret = account.call("GET", f"/v1/feedback-loops/{loop['id']}/secret").text
        service.terminate()
        url = server.new_database()
        assert migrate.run(["--data-dir", str(service.data_dir), "--store", url], {}) == 0
        service.environment["FEEDBACK_LOOPS_STORE"] = url
        service.start()

        assert account.call("GET", f"/v1/feedback-loops/{loop['id']}/deliveries").json()["data"] == held
        assert account.call("GET", f"/v1/feedback-loops/{loop['id']}/secret").text == secret
        account.call("POST", f"/v1/feedback-loops/{loop['id']}/resume")
        assert service.http.get(second).status_code == 302
        eventually(lambda: sink.stats()["unique"] == 2, 20, "both clicks were delivered")
    finally:
        service.end()
    assert capsys.readouterr().out

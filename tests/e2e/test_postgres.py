"""The service with its ledger on PostgreSQL, with real processes, Ray and database server."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from api.cli.commands import migrate
from tests.chaos.clicks import Clicks
from tests.postgres import PostgresServer, running_server
from tests.service import Service, Sink, eventually


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server for one test, which may stop it."""
    with running_server() as made:
        yield made


@pytest.fixture
def service(tmp_path: Path, server: PostgresServer) -> Iterator[Service]:
    """A service on a new database, not started; its processes are ended afterwards."""
    made = Service(tmp_path / "data", FEEDBACK_LOOPS_STORE=server.new_database())
    try:
        yield made
    finally:
        made.end()


def arrived(sink: Sink, clicks: list[int]) -> bool:
    arrivals = sink.arrivals()
    return not [n for n in clicks if n >= len(arrivals) or not arrivals[n]]


def test_nothing_is_lost_when_the_store_fails(service: Service, server: PostgresServer, sink: Sink) -> None:
    """Clicks continue while the ledger's actor is killed, and the server restarts and is down (I1, I2, I3)."""
    service.start()
    account = service.account()
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
    problems = service.http.get("/readyz").text
    assert "FEEDBACK_LOOPS_STORE" in problems
    server.start()
    done = clicks.stop()
    answered = [click.number for click in done if click.status == 302]

    assert {click.status for click in done} == {302}
    eventually(lambda: arrived(sink, answered), 60, "every answered click was delivered")
    service.wait_ready()
    rows = server.run("SELECT count(*), count(DISTINCT event_id) FROM deliveries", "ledger_1")
    assert rows == [(len(answered), len(answered))]
    assert "password" not in service.log.read_text()
    assert account.call("GET", f"/v1/feedback-loops/{loop['id']}").json()["state"] == "active"


def _grows(sink: Sink, beyond: int) -> bool:
    return sink.stats()["unique"] > beyond


def test_a_service_waits_for_its_store(service: Service, server: PostgresServer, sink: Sink) -> None:
    """Without its store a service answers clicks and reports the problem; it delivers them once the store is up."""
    service.start()
    account = service.account()
    account.loop(sink)
    (path,) = account.click_paths(1)
    service.terminate()
    server.stop()
    service.start(wait=False)

    def problems() -> str:
        try:
            return service.http.get("/readyz").text
        except httpx.TransportError:  # the front end is not listening yet
            return ""

    eventually(lambda: "FEEDBACK_LOOPS_STORE" in problems(), 40, "the setting is named")
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

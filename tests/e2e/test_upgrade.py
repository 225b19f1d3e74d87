"""A new version on one machine: the service is stopped, and the next one started on the same data directory."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from actors.ledger.sqlite.schema import SCHEMA_VERSION, schema_version
from actors.ledger.stores import LEDGER_FILE
from tests.chaos.clicks import USER_AGENT
from tests.next_version import make_next_version
from tests.service import ROOT, Service, Sink, eventually


@pytest.fixture
def sink() -> Iterator[Sink]:
    """A handler."""
    made = Sink()
    try:
        yield made.start()
    finally:
        made.stop()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service of this version that has not been started; its processes are gone afterwards."""
    made = Service(tmp_path / "data")
    try:
        yield made
    finally:
        made.end()


def schema_of(service: Service) -> int:
    with closing(sqlite3.connect(service.data_dir / LEDGER_FILE)) as connection:
        return schema_version(connection)


def click(service: Service, paths: list[str]) -> None:
    """Clicks on each link; each is answered."""
    for path in paths:
        assert service.http.get(path, headers={"User-Agent": USER_AGENT}).status_code == 302


def arrived(sink: Sink, count: int) -> bool:
    return all(sink.arrivals()[:count])


@pytest.mark.ray
@pytest.mark.timeout(180)
def test_the_ledger_goes_forward_and_an_older_version_refuses_it(service: Service, sink: Sink, tmp_path: Path) -> None:
    """The next version migrates what this one left, and goes on. This one then refuses, says why, and loses nothing."""
    next_version = make_next_version(tmp_path / "next")
    service.start()
    account = service.account()
    account.loop(sink)
    paths = account.click_paths(30)
    click(service, paths[:10])
    service.terminate()
    assert schema_of(service) == SCHEMA_VERSION

    service.code = next_version
    service.start()
    assert schema_of(service) == SCHEMA_VERSION + 1
    click(service, paths[10:20])
    eventually(lambda: arrived(sink, 20), 20, "what the older version answered, and what this one did, is delivered")
    service.terminate()

    service.code = ROOT
    service.start(wait=False)
    eventually(lambda: "Start the newer program that wrote it" in problems(service), 60, "it refuses, and says why")
    click(service, paths[20:])
    service.terminate()
    assert schema_of(service) == SCHEMA_VERSION + 1
    assert sink.stats()["unique"] == 20

    service.code = next_version
    service.start()
    eventually(lambda: arrived(sink, 30), 20, "what was answered by the one that refused is delivered")
    recorded = account.call("GET", "/v1/events", params={"type": "click", "limit": 100}).json()["data"]
    assert len(recorded) == sink.stats()["unique"] == 30


def problems(service: Service) -> str:
    """What `/readyz` says."""
    try:
        return service.http.get("/readyz", timeout=5).text
    except httpx.TransportError:  # the front end does not listen yet
        return ""

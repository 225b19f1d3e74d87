"""Upgrade on one machine: the service is stopped, and the next version starts on the same data directory."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from actors.ledger.factory import LEDGER_FILE
from actors.ledger.sqlite.schema import SCHEMA_VERSION, schema_version
from tests.chaos.clicks import USER_AGENT
from tests.next_version import make_next_version
from tests.paths import ROOT
from tests.service import Service, Sink, eventually


def schema_of(service: Service) -> int:
    with closing(sqlite3.connect(service.data_dir / LEDGER_FILE)) as connection:
        return schema_version(connection)


def click(service: Service, paths: list[str]) -> None:
    """Clicks each link, and checks the answers."""
    for path in paths:
        assert service.http.get(path, headers={"User-Agent": USER_AGENT}).status_code == 302


def arrived(sink: Sink, count: int) -> bool:
    return all(sink.arrivals()[:count])


@pytest.mark.ray
@pytest.mark.timeout(180)
def test_an_older_version_refuses_a_migrated_ledger(fresh: Service, sink: Sink, tmp_path: Path) -> None:
    """The next version migrates the ledger; this version then refuses it with a reason, and loses nothing."""
    next_version = make_next_version(tmp_path / "next")
    fresh.start()
    account = fresh.account()
    account.loop(sink)
    paths = account.click_paths(30)
    click(fresh, paths[:10])
    fresh.terminate()
    assert schema_of(fresh) == SCHEMA_VERSION

    fresh.code = next_version
    fresh.start()
    assert schema_of(fresh) == SCHEMA_VERSION + 1
    click(fresh, paths[10:20])
    eventually(lambda: arrived(sink, 20), 20, "the clicks of both versions are delivered")
    fresh.terminate()

    fresh.code = ROOT
    fresh.start(wait=False)
    eventually(lambda: "Start the newer program that wrote it" in fresh.problems(), 60, "it refuses with a reason")
    click(fresh, paths[20:])
    fresh.terminate()
    assert schema_of(fresh) == SCHEMA_VERSION + 1
    assert sink.stats()["unique"] == 20

    fresh.code = next_version
    fresh.start()
    eventually(lambda: arrived(sink, 30), 20, "the clicks of the refused version are delivered")
    recorded = account.call("GET", "/v1/events", params={"type": "click", "limit": 100}).json()["data"]
    assert len(recorded) == sink.stats()["unique"] == 30

"""`feedback-loops edges`, against a service over HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import msgspec
import pytest

from tests.unit.api.cli.fake_service import RunningService, running_service
from tests.unit.api.fake_api import ADMIN_KEY
from tests.unit.api.fake_front_ends import FRONT_END


@pytest.fixture
def service(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningService]:
    monkeypatch.setenv("FEEDBACK_LOOPS_ADMIN_KEY", ADMIN_KEY)
    with running_service(capsys, monkeypatch) as running:
        yield running


def test_front_ends_are_listed(service: RunningService) -> None:
    """With what holds each up."""
    service.client.front_end_problem = "its disk is full"
    shown = service.run("edges", "list")
    assert (shown.code, "edge-1" in shown.out, "its disk is full" in shown.out) == (0, True, True)
    assert json.loads(service.run("edges", "list", "--json").out)["data"][0]["id"] == "5c0e"


def test_a_front_end_is_forgotten_by_its_host_or_id(service: RunningService) -> None:
    """A host with several needs the id; nothing is forgotten without a confirmation."""
    twin = msgspec.structs.replace(FRONT_END, id="77aa")
    service.client.front_ends.append(twin)
    assert (service.run("edges", "forget", "edge-1", "--yes").code, len(service.client.front_ends)) == (1, 2)
    unconfirmed = service.run("edges", "forget", "77aa")
    assert (unconfirmed.code, "--yes" in unconfirmed.err, len(service.client.front_ends)) == (2, True, 2)
    assert service.run("edges", "forget", "77aa", "--yes").code == 0
    assert service.run("edges", "forget", "edge-1", "--yes").code == 0
    assert service.client.front_ends == []
    unknown = service.run("edges", "forget", "edge-1", "--yes")
    assert (unknown.code, "there is no front end edge-1" in unknown.err) == (1, True)


def test_front_ends_that_were_not_seen_for_long_are_forgotten_together(service: RunningService) -> None:
    """Machines that come and go leave one behind each time."""
    now_ms = time.time_ns() // 1_000_000
    service.client.front_ends = [
        msgspec.structs.replace(FRONT_END, id=id_, confirmed_ms=now_ms - days * 86_400_000)
        for id_, days in (("old", 9), ("older", 30), ("new", 1))
    ]
    assert service.run("edges", "forget", "--unseen", "7", "--yes").code == 0
    assert [each.id for each in service.client.front_ends] == ["new"]
    assert "was seen since then" in service.run("edges", "forget", "--unseen", "7", "--yes").out
    for wrong in ([], ["edge-1", "--unseen", "7"], ["--unseen", "0"]):
        assert service.run("edges", "forget", *wrong, "--yes").code == 2
    assert [each.id for each in service.client.front_ends] == ["new"]

"""`feedback-loops profiles`, against a service over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.api.cli.fake_service import RunningService, running_service


@pytest.fixture
def service(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningService]:
    with running_service(capsys, monkeypatch) as running:
        yield running


@pytest.mark.parametrize("sub", [(), ("--subprofile", "the orders", "a/b")])
def test_a_profile_is_written_shown_and_deleted(service: RunningService, sub: tuple[str, ...]) -> None:
    """Each command reaches the profile or subprofile that it names, and an error is exit code 1."""
    one = ("1", "1/2 3", *sub)
    put = service.run("profiles", "put", *one, "--fields", '{"name": "John"}', "--interest", "ham", "--interest", "jam")
    assert put.code == 0
    assert "ham, jam" in put.out
    patched = service.run("profiles", "patch", *one, "--fields", '{"n": 1}', "--json")
    assert json.loads(patched.out)["fields"] == {"name": "John", "n": 1}
    shown = json.loads(service.run("profiles", "show", *one, "--json").out)
    assert (shown["interests"], shown.get("profile", shown["id"])) == (["ham", "jam"], "1/2 3")
    assert (shown.get("collection"), shown["id"]) == (("the orders", "a/b") if sub else (None, "1/2 3"))
    assert service.run("profiles", "delete", *one).code == 0
    assert service.run("profiles", "show", *one).code == 1


def test_fields_that_are_not_json_are_a_misuse(service: RunningService) -> None:
    """Nothing is sent."""
    wrong = service.run("profiles", "put", "1", "2", "--fields", "{name: John}")

    assert (wrong.code, "not JSON" in wrong.err, service.client.profiles) == (2, True, {})


def test_an_import_shows_the_service_s_lines(service: RunningService, tmp_path: Path) -> None:
    """A refused line makes the exit code 1; `--no-events` is passed on."""
    file = tmp_path / "profiles.ndjson"
    file.write_text('{"id": "a", "fields": {}}\n\n{"id": "b"}\n')
    some = service.run("profiles", "import", "1", str(file), "--no-events")
    assert (some.code, "1 imported, 1 refused" in some.err) == (1, True)
    assert [json.loads(line)["line"] for line in some.out.splitlines()] == [1, 2, 3]
    file.write_text('{"id": "a", "fields": {}}')
    assert service.run("profiles", "import", "1", str(file)).code == 0
    assert [each.with_events for each in service.client.imports] == [False, True]
    assert service.run("profiles", "import", "1", str(tmp_path / "none")).code == 2

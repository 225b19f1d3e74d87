"""`feedback-loops keys`, against a service over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.unit.api.cli.fake_service import RunningService, running_service


@pytest.fixture
def service(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningService]:
    with running_service(capsys, monkeypatch) as running:
        yield running


def test_a_key_replaces_another(service: RunningService) -> None:
    """The new key opens the account, is listed without its text, and is refused once it is revoked."""
    made = json.loads(service.run("keys", "create", "Shop", "--json").out)
    new = {"FEEDBACK_LOOPS_API_KEY": made["api_key"]}
    shown = service.run("keys", "list", **new)
    assert (shown.code, "Shop" in shown.out, made["id"] in shown.out, "flk_" in shown.out) == (0, True, True, False)
    listed = json.loads(service.run("keys", "list", "--json", **new).out)["data"]
    assert made["id"] in {key["id"] for key in listed}
    assert "refused within seconds" in service.run("keys", "revoke", made["id"], **new).out
    assert made["id"] not in service.run("keys", "list", "--json").out


def test_the_key_is_shown_once_in_text_output_too(service: RunningService) -> None:
    """The output includes the key's id, by which it is revoked."""
    shown = service.run("keys", "create", "Shop")
    assert (shown.code, "flk_" in shown.out, "key_" in shown.out, "only once" in shown.out) == (0, True, True, True)


def test_invalid_ids_and_names_are_reported(service: RunningService) -> None:
    """An unknown id and an invalid name are each refused with the reason."""
    unknown = service.run("keys", "revoke", "key_0123")
    assert (unknown.code, "404" in unknown.err) == (1, True)
    unnamed = service.run("keys", "create", "")
    assert (unnamed.code, "/name" in unnamed.err) == (1, True)

"""`feedback-loops users`, against a service over HTTP."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.unit.api.cli.fake_service import CommandResult, RunningService, running_service
from tests.unit.api.fake_api import ADMIN_KEY


@pytest.fixture
def service(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[RunningService]:
    with running_service(capsys, monkeypatch) as running:
        yield running


def users(service: RunningService, *arguments: str) -> CommandResult:
    return service.run("users", *arguments, FEEDBACK_LOOPS_ADMIN_KEY=ADMIN_KEY)


def test_the_life_of_a_user(service: RunningService) -> None:
    """The password is shown when a user is created and when it is reset; the user is listed and removed."""
    assert "nobody can sign in yet" in users(service, "list").out
    made = users(service, "create", "ann@example.com", "--account-name", "Acme")
    assert made.code == 0
    found = re.search(r"password\s+(\S+)", made.out)
    assert found is not None
    assert [password for _, password in service.client.users.values()] == [found[1]]
    account = next(iter(service.client.users.values()))[0].account.id
    second = json.loads(users(service, "create", "bob@example.com", "--account", account, "--json").out)
    assert (second["email"], second["account"]) == ("bob@example.com", account)
    assert "bob@example.com" in users(service, "list").out
    assert users(service, "password", "Bob@example.com").code == 0
    assert second["password"] not in {password for _, password in service.client.users.values()}
    assert "can no longer sign in" in users(service, "remove", second["id"]).out
    assert [user.email for user, _ in service.client.users.values()] == ["ann@example.com"]


def test_an_unknown_user_is_reported(service: RunningService) -> None:
    """The message explains where to find users, and other refusals give the service's reason."""
    for name in ("password", "remove"):
        shown = users(service, name, "nobody@example.com")
        assert (shown.code, "users list" in shown.err) == (1, True)
    users(service, "create", "ann@example.com")
    refused = users(service, "create", "ann@example.com")
    assert (refused.code, "already" in refused.err) == (1, True)
    assert users(service, "create", "x@example.com", "--account", "a", "--account-name", "b").code == 2

"""The generated reference pages are up to date."""

from __future__ import annotations

import pytest

from api.http.operation import Access
from api.routes import OPERATIONS
from docs._generate import api, cli, returned_mail
from tests.paths import ROOT


def test_the_api_page_is_current() -> None:
    """docs/reference/api.md is current; `python -m docs._generate.api` writes it."""
    assert (ROOT / "docs/reference/api.md").read_text() == api.page()


def test_the_api_page_names_the_keys_of_every_call() -> None:
    """Only a call that anybody may make is said to need no key; one that takes either key names both."""
    words = {
        Access.ANYBODY: "without a key",
        Access.ACCOUNT: "with an API key",
        Access.ADMIN: "with the admin key",
        Access.EITHER: "with an API key or the admin key",
    }
    lines = set((ROOT / "docs/reference/api.md").read_text().splitlines())
    assert {each.access for each in OPERATIONS} == set(Access)
    assert {f"`{each.method} {each.path}`, {words[each.access]}" for each in OPERATIONS} <= lines


def test_the_page_of_the_command_line_is_current(monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/reference/cli.md is current; `python -m docs._generate.cli` writes it."""
    monkeypatch.setenv("COLUMNS", "80")

    assert (ROOT / "docs/reference/cli.md").read_text() == cli.page()


def test_the_page_of_returned_mail_is_current() -> None:
    """docs/reference/returned-mail.md is current; `python -m docs._generate.returned_mail` writes it."""
    assert (ROOT / "docs/reference/returned-mail.md").read_text() == returned_mail.page()

"""`domain.values`."""

from __future__ import annotations

from uuid import UUID

import pytest

from domain.errors import InvalidInput
from domain.values import HandlerUrl, email_problem, id_text, id_uuid


def test_ids_are_read_back() -> None:
    """An id's text and its UUID are equivalent, as bytes or as a UUID."""
    value = UUID(int=255)
    assert id_text("fl", value) == id_text("fl", value.bytes) == "fl_" + "0" * 30 + "ff"
    assert id_uuid("fl", id_text("fl", value)) == value


@pytest.mark.parametrize(
    "text", ["", "fl_", "acc_" + "0" * 32, "fl_" + "0" * 31, "fl_" + "G" * 32, "fl_" + "0" * 32 + "\n"]
)
def test_an_invalid_id_is_none(text: str) -> None:
    """Another prefix, length or alphabet is not an id."""
    assert id_uuid("fl", text) is None


@pytest.mark.parametrize(
    "text",
    ["https://example.com", "http://Example.com:8080/a?b=c", "http://[::1]/x", "https://xn--e1aybc.example/"]
    + [
        f"https://example.com/{path}"
        for path in (".well-known/x", "...", "a..b/x.php", "%2e%2e%2e/", "x?a=/../b", "%2f..x")
    ],
)
def test_a_handlers_url_is_absolute(text: str) -> None:
    """Both schemes, ports, queries and literal addresses are valid in a handler's URL."""
    assert HandlerUrl(text).text == text


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "must start with"),
        ("example.com/x", "must start with"),
        ("ftp://example.com/", "must start with"),
        ("https:///x", "has no host"),
        ("https://example.com:99999/", "is not a URL"),
        ("https://example.com:0/", "its port must be"),
        ("https://[::1/", "is not a URL"),
        ("https://u:p@example.com/", "user name or password"),
        ("https://u@example.com/", "user name or password"),
        ("https://example.com/#x", "fragment"),
        ("https://example.com/../x.php", "path segments"),
        ("https://example.com/a/./x.php", "path segments"),
        ("https://example.com/a/..", "path segments"),
        ("https://example.com/.?a=b", "path segments"),
        ("https://example.com/a/%2E%2e/x.php", "path segments"),
        ("https://example.com/a/.%2e/x.php", "path segments"),
        ("https://exämple.com/", "printable ASCII"),
        ("https://example.com/a b", "printable ASCII"),
        ("https://example.com/\r\nX: y", "printable ASCII"),
        ("https://example.com/" + "x" * 2048, "longer than 2048"),
    ],
)
def test_an_invalid_url_is_refused(text: str, problem: str) -> None:
    """The error explains the problem at the URL's pointer."""
    with pytest.raises(InvalidInput, match=problem) as caught:
        HandlerUrl(text)
    assert caught.value.problems[0][0] == "/url"


def test_a_host_is_lower_case_without_brackets() -> None:
    """The host can be looked up or parsed as an address without changes."""
    assert [HandlerUrl(u).host for u in ("https://Example.COM/x", "http://[::1]:81/")] == ["example.com", "::1"]


@pytest.mark.parametrize("text", ["john@example.com", "j.o+hn@localhost", "zoë@exämple.com"])
def test_a_valid_address_passes(text: str) -> None:
    """Local part, @ and domain are enough."""
    assert email_problem(text) is None


@pytest.mark.parametrize("text", ["", "john", "@example.com", "john@", "a@b@c", "a b@example.com", "a@example.com\n"])
def test_an_invalid_address_is_refused(text: str) -> None:
    """Anything else has a problem."""
    assert email_problem(text) == "is not an e-mail address (local@domain)"

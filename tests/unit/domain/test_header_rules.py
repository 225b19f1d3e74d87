"""Rules for the headers of a loop, and their API."""

from __future__ import annotations

import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.http.validation import validate
from api.schemas.loops import LoopChange, NewLoop
from domain.errors import InvalidInput
from domain.loop_settings import check_settings

TOKEN = string.ascii_letters + string.digits + "!#$%&'*+.^_`|~-"
VISIBLE = "".join(map(chr, range(0x21, 0x7F)))


def problems(headers: Any) -> dict[str, str]:
    """The problems by pointer; the API and the domain find the same."""
    found: list[dict[str, str]] = []
    loop = {"url": "https://h.example/", "triggers": ["open"], "headers": headers}
    for check in (
        lambda: check_settings({"headers": headers}),
        lambda: validate(NewLoop, loop),
        lambda: validate(LoopChange, {"headers": headers}),
    ):
        try:
            check()
            found.append({})
        except InvalidInput as exc:
            found.append(dict(exc.problems))
    assert found[0] == found[1] == found[2]
    return found[0]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Copernica-ID": "account_123"},
        {"Authorization": "Basic dXNlcjpwYXNz", "Cookie": "a=b; c=d", "x-api-key": "~" * 4096},
        {"Accept": "text/plain", "X-Signature": "x", "Contents": "x", "X-Forwarded-For": "1.2.3.4", "Webhook": "x"},
        {f"X-{n}": "v" for n in range(10)},
        {"X": "***"},
    ],
)
def test_what_handlers_need_is_accepted(headers: dict[str, str]) -> None:
    """Names that the service does not use, and visible values, are accepted."""
    assert problems(headers) == {}


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "Content-Type", "content-length", "CONTENT-ENCODING", "Content-Digest", "Content-", "Digest", "Date"),
        *("User-Agent", "Connection", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection", "TE", "Trailer"),
        *("Transfer-Encoding", "transfer-encoding", "Upgrade", "Signature", "Signature-Input", "signatures", "X-Nonce"),
        *("X-Account", "x-feedback-loop", "webhook-id", "Webhook-Signature", "webhook-x", "HTTP2-Settings"),
        *("", " ", "X Y", "X:", "X\r\nY", "é", "X\0", "(x)", "x" * 201),
    ],
)
def test_refused_names_are_pointed_at(name: str) -> None:
    """The pointer is the entry's, whatever else is in the map."""
    assert list(problems({"X-Fine": "fine", name: "value"})) == [f"/headers/{name}"]


@pytest.mark.parametrize(
    "value", ["", "x" * 4097, "a\r\nX: b", "a\tb", " a", "a ", " ", "é", "a\x7f", "a\0b", None, 1, []]
)
def test_refused_values_are_pointed_at(value: Any) -> None:
    """The pointer is the entry's, and the text does not show the value."""
    ((pointer, problem),) = problems({"X-Fine": "fine", "X~a": value}).items()

    assert pointer == "/headers/X~0a"
    assert not isinstance(value, str) or len(value) < 4 or value not in problem


def test_the_map_itself_is_checked() -> None:
    """A map holds at most ten headers, each once, and is a map."""
    assert list(problems({f"X-{n}": "v" for n in range(11)})) == ["/headers"]
    assert list(problems({"X-A": "1", "x-a": "2", "X-a": "3"})) == ["/headers/x-a", "/headers/X-a"]
    for other in (None, [], "X: y", 1, [["X", "y"]]):
        assert list(problems(other)) == ["/headers"]


@given(name=st.text(TOKEN, min_size=1, max_size=200), value=st.text(VISIBLE, min_size=1))
def test_every_other_header_is_accepted(name: str, value: str) -> None:
    """Any token is a name unless the service or the connection uses it; any visible text is a value."""
    found = problems({f"X-Own-{name}"[:200]: value})

    assert found == {}


@given(name=st.text(max_size=20), value=st.text(max_size=20))
def test_nothing_else_passes(name: str, value: str) -> None:
    """What passes cannot break a request: a token, a colon, and visible characters."""
    if not problems({name: value}):
        assert set(name) <= set(TOKEN)
        assert set(value) <= set(VISIBLE + " ")
        assert value.strip() == value != ""

"""Hostile values for every input of the API and the dashboard, and checks of what they lead to."""

from __future__ import annotations

import json
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from starlette.types import ASGIApp

from actors.commands.accounts import IssueApiKey
from actors.commands.command import Command
from actors.commands.erasures import EraseRecipient
from actors.commands.loops import SendSample
from actors.commands.messages import RegisterMessages
from actors.commands.profiles import ImportProfiles, PatchProfile, PutProfile
from actors.commands.recipients import CountRecipient, ExportRecipient
from actors.commands.users import ChangePassword, CreateUser, SignIn

#: Texts that databases, headers, logs and pages may stumble at.
TEXTS: Final = (
    "\0",
    "a\0b@example.com",
    "\ud800",
    "\udfff\ud800",
    "x" * 10_000,
    "€" * 3_000,
    "%00",
    "\r\nSet-Cookie: a=b",
    "\x1b[2J\x7f\x85",
    "\u202e\ufeff\uffff",
    "𝟙٣²",
    "<script>'\"{{7*7}}</script>",
    "' OR 1=1 --",
    "../../etc/passwd",
    " ",
    "",
    "-1",
    "0",
    "-9223372036854775809",
    "18446744073709551616",
    "9" * 400,
    "1e400",
    "NaN",
    "1_000",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999+23:59",
    "2026-02-30T00:00",
    "null",
    "[" * 200,
)
#: The same for JSON, where numbers need no text.
JSON_VALUES: Final[tuple[Any, ...]] = (
    *TEXTS[:14],
    None,
    True,
    -1,
    0,
    1e308,
    -(2**63) - 1,
    2**64,
    10**400,
    float("inf"),
    float("nan"),
    [],
    {},
    ["\0"],
    ["\ud800", "x" * 10_000, -1, None],
    {"\0": "\0"},
    {"\ud800": 1},
    {"": {"": [{}]}},
)
#: Fields that the queries themselves read: they refuse a cursor that they have not made, and an unknown name.
_CHECKED_BY_QUERIES: Final = {"cursor", "state", "type"}
_INT64: Final = 1 << 63
#: Commands with texts that are checked before the store sees them, or that it never sees.
_CHECKED_LATER: Final = (
    ChangePassword,
    CountRecipient,
    CreateUser,
    EraseRecipient,
    ExportRecipient,
    ImportProfiles,
    IssueApiKey,
    PatchProfile,
    PutProfile,
    RegisterMessages,
    SendSample,
    SignIn,
)


def encoded(text: str) -> str:
    """The text, percent-encoded; a lone surrogate as the three bytes that no UTF-8 has."""
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def form(fields: dict[str, str]) -> bytes:
    """The fields as a form or a query."""
    return urlencode({name: text.encode("utf-8", "surrogatepass") for name, text in fields.items()}).encode()


def json_bytes(value: Any) -> bytes:
    """The value as JSON, also numbers that JSON does not have, and lone surrogates as escapes."""
    return json.dumps(value).encode()


async def status_of(
    app: ASGIApp, method: str, target: str, headers: dict[str, str], body: bytes = b""
) -> tuple[int, dict[bytes, bytes]]:
    """The status and headers of the answer. The client leaves as soon as it has them, which also ends streams."""
    path, _, query = target.partition("?")
    messages = [{"type": "http.request", "body": body, "more_body": False}]
    start: dict[str, Any] = {}

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            start.update(message)

    sent = {"host": "localhost", **headers}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "client": ("127.0.0.1", 1),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in sent.items()],
    }
    await app(scope, receive, send)
    return start["status"], dict(start["headers"])


def assert_storable(command: Command[Any]) -> None:
    """Checks that databases can hold everything in the command: no NUL, no lone surrogate, no number beyond 64 bits."""
    if isinstance(command, _CHECKED_LATER):
        return
    for name, value in msgspec.to_builtins(command, builtin_types=(bytes,), enc_hook=bytes).items():
        if name not in _CHECKED_BY_QUERIES:
            _assert_storable(value, f"{type(command).__name__}.{name}")


def _assert_storable(value: Any, where: str) -> None:
    if isinstance(value, str):
        assert "\0" not in value, (where, value[:100])
        value.encode()
    elif isinstance(value, bytes):
        assert b"\0" not in value, (where, value[:100])
    elif isinstance(value, int):
        assert -_INT64 <= value < _INT64, (where, value)
    elif isinstance(value, dict):
        for name, item in value.items():
            _assert_storable(name, where)
            _assert_storable(item, f"{where}.{name}")
    elif isinstance(value, list | tuple):
        for item in value:
            _assert_storable(item, where)

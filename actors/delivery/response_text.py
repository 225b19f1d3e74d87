"""Text about a handler's response that is safe to store and show."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from actors.ports import HttpResponse

#: Maximum length of `failure_text`.
MAX_FAILURE_CHARS: Final = 200


def error_code(response: HttpResponse) -> str | None:
    """The HTTP client's error code; `redirect` or `status` for an unsuccessful response; or None."""
    if response.status is None or 200 <= response.status < 300:
        return response.error
    return "redirect" if 300 <= response.status < 400 else "status"


def failure_text(response: HttpResponse) -> str:
    """An unsuccessful response in a few words: `503 Service Unavailable`, or `connect: connection refused`."""
    if response.status is None:
        text = f"{response.error}: {response.detail}" if response.detail else str(response.error)
        return _printable(text.encode("utf-8", "replace"))[:MAX_FAILURE_CHARS]
    return f"{response.status} {_REASONS.get(response.status, '')}".rstrip()


_REASONS: Final = {status.value: status.phrase for status in HTTPStatus}


def header_lines(head_start: bytes) -> str:
    """The start of a response's headers, one per line; fast for ordinary ones."""
    text = head_start.decode("utf-8", "replace")
    return text if text.replace("\n", "").isprintable() else _printable(head_start)


def body_excerpt(response: HttpResponse) -> str:
    """The start of a response's body. If the bytes are not an HTTP response, all of them stay recognisable."""
    return _printable(response.body_start) if response.status is not None else _escaped(response.body_start)


def _escaped(raw: bytes) -> str:
    r"""UTF-8 and line breaks unchanged, all other bytes as `\xNN`."""
    text = raw.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else _escape(c) for c in text)


def _escape(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode())


def _printable(raw: bytes) -> str:
    """UTF-8 text; replaces invalid bytes and terminal control characters."""
    text = raw.decode("utf-8", "replace")
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text.replace("\r\n", "\n"))

"""Small file over HTTP, such as a verification file, and the parser of the response that carries it."""

from __future__ import annotations

from http import HTTPStatus
from typing import NamedTuple

from actors.adapters.http_response import ResponseParser


class HttpFile(NamedTuple):
    """A response to a GET of a file."""

    status: int
    #: The text after the status, as sent.
    reason: bytes
    #: The `Location` header, or None.
    location: bytes | None
    #: The start of the body of a 200; None with any other status, or if the headers are unreadable.
    body: bytes | None


class FileResponseParser(ResponseParser):
    """Parser for the response to a GET of a small file: keeps what `HttpFile` holds, and reads only a 200's body."""

    __slots__ = ("_reason",)

    _reason: bytes

    def __init__(self, max_body_bytes: int) -> None:
        """Keeps one byte more than `max_body_bytes`, which shows that the file is too long."""
        super().__init__(max_body_bytes + 1, max_body_bytes)

    def file(self) -> HttpFile:
        """The response that is over."""
        location = next((line[10:] for line in self._headers if line[:10].lower() == b"location: "), None)
        return HttpFile(self.status, self._reason, location, None if self._ignores_body else self._body_start)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._is_complete:
            self._reason = b""

    def on_status(self, reason: bytes) -> None:
        if not self._is_complete:
            self._reason += reason

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self.status not in {0, HTTPStatus.OK}:
            self._ignores_body = True

    def _reset(self) -> None:
        super()._reset()
        self._reason = b""

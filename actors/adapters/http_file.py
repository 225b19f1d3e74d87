"""Small file over HTTP, such as a verification file, and the parser of the response that carries it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, NamedTuple

from actors.adapters.http_response import ResponseParser

#: Names of encodings that change nothing.
_PLAIN: Final = frozenset({b"", b"identity", b"chunked"})


class HttpFile(NamedTuple):
    """A response to a GET of a file."""

    status: int
    #: The text after the status, as sent.
    reason: bytes
    #: The `Location` header, or None.
    location: bytes | None
    #: The start of the body of a 200; None with any other status.
    body: bytes | None
    #: The encodings of the body, such as `gzip`; empty if it is plain.
    encodings: tuple[bytes, ...] = ()


class FileResponseParser(ResponseParser):
    """Parser for the response to a GET of a small file: keeps what `HttpFile` holds, and reads only a 200's body."""

    __slots__ = ()

    def __init__(self, max_body_bytes: int) -> None:
        """Keeps one byte more than `max_body_bytes`, which shows that the file is too long."""
        super().__init__(max_body_bytes + 1, max_body_bytes)

    def file(self) -> HttpFile:
        """The response that is over."""
        head = self._head
        lines = [*head.values(b"content-encoding"), *head.values(b"transfer-encoding")]
        names = [name.strip() for line in lines for name in line.split(b",")]
        return HttpFile(
            head.status,
            head.reason.strip(),
            next(iter(head.values(b"location")), None),
            None if self._ignores_body() else self._body_start,
            tuple(name for name in names if name.lower() not in _PLAIN),
        )

    def _ignores_body(self) -> bool:
        return self.status != HTTPStatus.OK

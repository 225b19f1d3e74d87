"""HTTP/1.1 response parser: reads what a handler sends, bounds it, and keeps the parts that are needed.

llhttp, Node.js's parser, does the reading (through httptools), in its strict mode. A response whose headers it rejects
is read a second time in lenient mode; its connection is then not reused, so that leftover bytes cannot be mistaken for
the next response.
"""

from __future__ import annotations

import re
from typing import Final

import httptools

from actors.ports import HttpResponse

MAX_HEAD_BYTES: Final = 32 * 1024
MAX_BODY_BYTES: Final = 64 * 1024
#: Bytes read of a response in total. One-byte chunks with long extensions would otherwise pass the other two limits.
MAX_RESPONSE_BYTES: Final = 2 * (MAX_HEAD_BYTES + MAX_BODY_BYTES)
#: How much of the body and of the headers is kept.
BODY_START_BYTES: Final = 1024
HEAD_START_BYTES: Final = 2048
#: Bytes kept of data that is not a response. Each may take four characters when shown.
RAW_START_BYTES: Final = BODY_START_BYTES // 4
#: RFC 9112 4: the status line of a final response (not of a 1xx).
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([2-9][0-9]{2})(?: [^\r\n]*)?\r\n")
_PARSER_ERRORS: Final = (httptools.HttpParserError, httptools.HttpParserUpgrade)


class ExchangeError(Exception):
    """An exchange that ended without a response."""


class ExchangeFailed(ExchangeError):
    """The exchange failed. `code` is one of `AttemptOutcome.error`; the text is a sentence for people.

    `raw_start` holds the first bytes received, if any.
    """

    def __init__(self, code: str, detail: str, address: str | None = None, raw_start: bytes = b"") -> None:
        super().__init__(detail)
        self.code = code
        self.address = address
        self.raw_start = raw_start


class StaleConnection(ExchangeError):
    """A kept-alive connection closed before a byte of the response arrived. Retry on a new connection."""


class ResponseParser:
    """Parser for the responses of one connection, one at a time: call `begin`, then `feed` until it returns true."""

    __slots__ = (
        "_body_bytes",
        "_body_start",
        "_head_bytes",
        "_headers",
        "_ignores_body",
        "_is_complete",
        "_is_delimited",
        "_is_lenient",
        "_kept_body_bytes",
        "_max_body_bytes",
        "_parser",
        "_raw",
        "_retry_after",
        "is_spoilt",
        "keeps_alive",
        "received_bytes",
        "status",
    )

    #: 0 until the headers of the response are complete.
    status: int
    received_bytes: int
    #: Whether bytes are, or may be, left over that would spoil the next response.
    is_spoilt: bool
    #: Whether the handler keeps the connection open.
    keeps_alive: bool
    #: Everything received until the headers are complete; from then on only its start.
    _raw: bytes
    _head_bytes: int
    _headers: list[bytes]
    _body_bytes: int
    _body_start: bytes
    _retry_after: bytes | None
    #: Whether the headers say where the body ends.
    _is_delimited: bool
    #: Whether the body is not read: it is not wanted, or its end is in doubt.
    _ignores_body: bool
    _is_complete: bool
    #: Whether strict mode rejected the headers.
    _is_lenient: bool

    def __init__(self, kept_body_bytes: int = BODY_START_BYTES, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._kept_body_bytes = kept_body_bytes
        self._max_body_bytes = max_body_bytes
        self._parser = httptools.HttpResponseParser(self)
        self.begin()

    # --- called by the connection

    def begin(self) -> None:
        """Prepares for the next response."""
        self.received_bytes = 0
        self._raw = b""
        self._is_lenient = False
        self.is_spoilt = False
        self._reset()

    def feed(self, data: bytes) -> bool:
        """Reads the next bytes. Returns whether the response is over: complete, or as much of it as is wanted.

        Raises:
            ExchangeFailed: this is not a response, or its headers are too large.
        """
        self.received_bytes += len(data)
        if not self.status:
            self._raw += data
        try:
            self._parser.feed_data(data)
        except _PARSER_ERRORS as exc:
            self._recover(exc)
        if self._head_bytes > MAX_HEAD_BYTES or (not self.status and self.received_bytes > MAX_HEAD_BYTES):
            raise self._failed("too_large", f"the answer's headers are longer than {MAX_HEAD_BYTES // 1024} KiB")
        if self._is_complete or (self.status and self._ignores_body):
            return True
        if self._body_bytes > self._max_body_bytes or self.received_bytes > MAX_RESPONSE_BYTES:
            self.is_spoilt = True  # the rest is not read
            return True
        return False

    @property
    def ends_with_connection(self) -> bool:
        """Whether a close of the connection completes the response (RFC 9112 6.3)."""
        return self.status != 0 and not self._is_delimited

    @property
    def raw_start(self) -> bytes:
        """The first bytes received."""
        return self._raw[:RAW_START_BYTES]

    def response(self, address: str, duration_s: float) -> HttpResponse:
        """The response that is over."""
        retry_after = None if self._retry_after is None else self._retry_after.decode("latin-1")
        head_start = b"\n".join(self._headers)[:HEAD_START_BYTES]
        return HttpResponse(
            self.status, None, "", self._body_start, retry_after, address, duration_s, self._body_bytes, head_start
        )

    # --- called by llhttp

    def on_message_begin(self) -> None:
        if self._is_complete:
            self.is_spoilt = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + 4
        if not self.status:  # trailers are not kept
            self._headers.append(name + b": " + value)
        length = len(name)
        if length == 11 and name.lower() == b"retry-after":
            self._retry_after = value
        elif length == 14 and name.lower() == b"content-length":
            self._is_delimited = True
        elif length == 17 and name.lower() == b"transfer-encoding":
            self._is_delimited = b"chunked" in value.lower()
            self._ignores_body = self._is_lenient and value.lower() != b"chunked"

    def on_headers_complete(self) -> None:
        if not self._is_complete:
            status = self._parser.get_status_code()
            if status >= 200:
                self.status = status
                self._raw = self._raw[:RAW_START_BYTES]

    def on_body(self, data: bytes) -> None:
        if self._is_complete:
            return  # belongs to another response
        self._body_bytes += len(data)
        missing = self._kept_body_bytes - len(self._body_start)
        if missing > 0:
            self._body_start += data[:missing]

    def on_message_complete(self) -> None:
        if self.status:
            self._is_complete = True
            self.keeps_alive = self._parser.should_keep_alive()
        else:  # 100 and 103 precede the response
            self._headers.clear()
            self._retry_after = None
            self._is_delimited = False

    # --- internal

    def _reset(self) -> None:
        self.status = 0
        self._head_bytes = 0
        self._headers = []
        self._body_bytes = 0
        self._body_start = b""
        self._retry_after = None
        self._is_delimited = False
        self._ignores_body = False
        self._is_complete = False
        self.keeps_alive = False

    def _recover(self, exc: Exception) -> None:
        """Decides what a parser error means for the response."""
        # Garbage after a complete response spoils the connection, not the response.
        self.is_spoilt = True
        if isinstance(exc, httptools.HttpParserUpgrade):
            raise self._failed("protocol", "the answer is not HTTP/1.1: it switches protocols unasked") from None
        if self._is_complete or (self.status and self._ignores_body):
            return
        if not self.status and not self._is_lenient:
            self._parse_leniently()
        elif self.status or not self._take_status_line():
            raise self._failed("protocol", f"the answer is not HTTP/1.1: {exc}") from None

    def _parse_leniently(self) -> None:
        """Parses the received bytes again; allows control characters and folded lines in header values."""
        self._is_lenient = True
        self._reset()
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(lenient_headers=True)
        try:
            self._parser.feed_data(self._raw)
        except _PARSER_ERRORS as exc:
            self._recover(exc)

    def _take_status_line(self) -> bool:
        """Takes the status even if the headers are unreadable: the handler either accepted the event or did not."""
        match = _STATUS_LINE.match(self._raw)
        if match is None:
            return False
        self._headers.clear()
        self._retry_after = None
        self.status = int(match[1])
        self._ignores_body = True
        return True

    def _failed(self, code: str, detail: str) -> ExchangeFailed:
        return ExchangeFailed(code, detail, None, self.raw_start)

"""HTTP/1.1 response parser for deliveries and verification: as lenient as curl.

Handlers are scripts behind all kinds of servers, and their authors test them with curl. So the parser accepts what curl
accepts: lines that end with LF, header lines without a colon, odd status lines. What makes the end of the body doubtful
costs the connection, so that bytes cannot be mistaken for the next response, but not the response.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from actors.adapters.http_chunks import BadChunk, ChunkReader
from actors.adapters.http_head import HEAD_END, MAX_EMPTY_BYTES, STATUS_LINE, Head, read_head
from actors.ports import HttpResponse

MAX_HEAD_BYTES: Final = 32 * 1024
MAX_BODY_BYTES: Final = 64 * 1024
#: Bytes read of a response in total. One-byte chunks with long extensions would otherwise pass the other two limits.
MAX_RESPONSE_BYTES: Final = 2 * (MAX_HEAD_BYTES + MAX_BODY_BYTES)
#: How much of the body is kept.
BODY_START_BYTES: Final = 1024
#: Bytes kept of data that is not a response. Each may take four characters when shown.
RAW_START_BYTES: Final = BODY_START_BYTES // 4
#: A longer head is not remembered.
MAX_KNOWN_BYTES: Final = 2048

#: The start of every response.
_PREFIX: Final = b"HTTP/"
_UNTIL_CLOSE: Final = -1


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
        "_chunks",
        "_head",
        "_head_at",
        "_kept_body_bytes",
        "_known",
        "_left",
        "_max_body_bytes",
        "_raw",
        "_search_at",
        "is_spoilt",
        "received_bytes",
        "status",
    )

    #: 0 until the headers of the response are complete.
    status: int
    received_bytes: int
    #: Whether bytes are, or may be, left over that would spoil the next response.
    is_spoilt: bool
    #: Everything received until the headers are complete; from then on only its start.
    _raw: bytes
    #: Where in `_raw` the head starts that is being read, after interim responses.
    _head_at: int
    #: Where to look for the end of that head: no end starts before.
    _search_at: int
    #: That of the last response; valid if there is a status.
    _head: Head
    _body_bytes: int
    _body_start: bytes
    #: Missing bytes of the body, or `_UNTIL_CLOSE`.
    _left: int
    _chunks: ChunkReader | None
    #: What was received up to the end of the last head: the next one is often the same, and reading it costs time.
    _known: bytes | None

    def __init__(self, kept_body_bytes: int = BODY_START_BYTES, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._kept_body_bytes = kept_body_bytes
        self._max_body_bytes = max_body_bytes
        self._known = None
        self.begin()

    # --- called by the connection

    def begin(self) -> None:
        """Prepares for the next response."""
        self.status = 0
        self.received_bytes = 0
        self.is_spoilt = False
        self._raw = b""
        self._head_at = self._search_at = 0
        self._body_bytes = 0
        self._body_start = b""
        self._left = _UNTIL_CLOSE
        self._chunks = None

    def feed(self, data: bytes) -> bool:
        """Reads the next bytes. Returns whether the response is over: complete, or as much of it as is wanted.

        Raises:
            ExchangeFailed: this is not a response, or its headers are too large.
        """
        self.received_bytes += len(data)
        if not self.status:
            self._raw = data = self._raw + data if self._raw else data
            if self._known is not None and data.startswith(self._known):
                self._take_head(self._head)
                data = data[len(self._known) :]
            else:
                data = self._read_heads()
            if not self.status:
                return False
        if self._ignores_body() or self._read_body(data):
            return True
        if self._body_bytes > self._max_body_bytes or self.received_bytes > MAX_RESPONSE_BYTES:
            self.is_spoilt = True  # the rest is not read
            return True
        return False

    def finish(self) -> bool:
        """Reads the orderly end of the connection. Returns whether the response is complete (RFC 9112 6.3).

        As with curl, the connection may end within the headers, if at least the status line is there.
        """
        if not self.status and not self._read_cut_head():
            return False
        return self.is_doubtful or (self._left <= 0 if self._chunks is None else self._chunks.has_all_data)

    @property
    def is_doubtful(self) -> bool:
        """Whether the end of the body is in doubt: then the response is also over when nothing more arrives."""
        return self.status != 0 and self._head.framing.is_doubtful

    @property
    def keeps_alive(self) -> bool:
        """Whether the connection can carry another exchange: the handler keeps it open, and no bytes are left over."""
        return self._head.keeps_alive and not (self.is_spoilt or self._head.framing.is_doubtful)

    @property
    def raw_start(self) -> bytes:
        """The first bytes received."""
        return self._raw[:RAW_START_BYTES]

    def response(self, address: str, duration_s: float) -> HttpResponse:
        """The response that is over."""
        head = self._head
        body, size, retry_after = self._body_start, self._body_bytes, head.retry_after
        return HttpResponse(head.status, None, "", body, retry_after, address, duration_s, size, head.start)

    # --- internal

    def _ignores_body(self) -> bool:
        return False

    def _read_heads(self) -> bytes:
        """Reads interim responses, and the final one's head once it is complete. Returns the bytes behind it."""
        raw = self._raw
        while True:
            line = STATUS_LINE.match(raw, self._head_at)
            end = HEAD_END.search(raw, max(line.end() - 1, self._search_at)) if line else None
            if line is None:
                self._check_start(raw[self._head_at :])
            if (end.start() if end else self.received_bytes) > MAX_HEAD_BYTES:
                raise self._failed("too_large", f"the answer's headers are longer than {MAX_HEAD_BYTES // 1024} KiB")
            if line is None or end is None:
                self._search_at = raw.rfind(b"\n")
                return b""
            head, self._head_at = read_head(line, raw[line.start(4) : end.start()]), end.end()
            if head.status >= 200:
                self._take_head(head)
                self._known = raw[: end.end()] if end.end() <= MAX_KNOWN_BYTES else None
                return raw[end.end() :]
            if head.status == HTTPStatus.SWITCHING_PROTOCOLS:
                raise self._failed("protocol", "the answer is not HTTP/1.1: it switches protocols unasked")

    def _check_start(self, start: bytes) -> None:
        line = start.lstrip(b"\r\n")
        is_response = line[: len(_PREFIX)].upper() == _PREFIX[: len(line)] and b"\n" not in line
        if not is_response or len(start) - len(line) > MAX_EMPTY_BYTES:
            raise self._failed("protocol", "the answer is not HTTP/1.1: it does not start with a status line")

    def _read_cut_head(self) -> bool:
        line = STATUS_LINE.match(self._raw, self._head_at)
        if line is None:
            return False
        fields = self._raw[line.start(4) :]
        last_line = fields.rpartition(b"\n")[2].strip()
        head = read_head(line, fields)
        if head.status < 200 or (last_line and b":" not in last_line):
            return False
        self._known = None
        self._take_head(head)
        return True

    def _take_head(self, head: Head) -> None:
        self._head = head
        self.status = head.status
        self._raw = self._raw[:RAW_START_BYTES]
        length, is_chunked, _ = head.framing
        if is_chunked:
            self._chunks = ChunkReader()
        elif length is None:
            self.is_spoilt = True
        else:
            self._left = length

    def _read_body(self, data: bytes) -> bool:
        """Reads the next bytes of the body. Returns whether it is complete."""
        if self._chunks is not None:
            return self._read_chunks(self._chunks, data)
        if self._left != _UNTIL_CLOSE:
            if len(data) > self._left:
                self.is_spoilt = True
                data = data[: self._left]
            self._left -= len(data)
        self._keep(data)
        return self._left == 0

    def _read_chunks(self, chunks: ChunkReader, data: bytes) -> bool:
        try:
            self._keep(chunks.feed(data))
        except BadChunk as exc:
            if self.is_doubtful:
                return True
            raise self._failed("protocol", f"the answer is not HTTP/1.1: {exc}") from None
        self.is_spoilt = bool(chunks.rest)
        return chunks.is_over

    def _keep(self, data: bytes) -> None:
        self._body_bytes += len(data)
        missing = self._kept_body_bytes - len(self._body_start)
        if missing > 0:
            self._body_start += data[:missing]

    def _failed(self, code: str, detail: str) -> ExchangeFailed:
        return ExchangeFailed(code, detail, None, self.raw_start)

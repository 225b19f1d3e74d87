"""One kept-alive HTTP/1.1 connection to a handler: writes a request, reads one answer, and bounds both.

Written for its cost: a POST takes a third of the CPU it takes in a general client (benchmarks/bench_sender.py).
llhttp, Node.js's parser, reads the answer (by way of httptools), strictly. An answer whose headers it refuses is read
once more, liberally, and the connection not used again: what is in doubt then can be mistaken for no later answer.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Final

import httptools

from actors.adapters.http_response import Broken, ParsedResponse, Stale

MAX_HEAD_BYTES: Final = 32 * 1024
MAX_BODY_BYTES: Final = 64 * 1024
#: Chunks of one byte with long extensions are an answer, too: this bounds what is read of any.
MAX_ANSWER_BYTES: Final = 2 * (MAX_HEAD_BYTES + MAX_BODY_BYTES)
BODY_START_BYTES: Final = 1024
HEAD_START_BYTES: Final = 2048
#: Of what is no answer. Each byte may be four characters when it is shown.
RAW_START_BYTES: Final = BODY_START_BYTES // 4
#: RFC 9112 4: the status line of an answer (not of a 1xx, which announces one).
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] ([2-9][0-9]{2})(?: [^\r\n]*)?\r\n")


class HttpConnection(asyncio.Protocol):
    """A connection that carries one exchange at a time. `is_reusable` tells if another may follow."""

    # The answer so far; see `_begin_answer`. A status of 0: none yet.
    _status: int
    _received_bytes: int
    #: All that came until the headers were complete; the start of it from then on.
    _raw: bytes
    _head_bytes: int
    _headers: list[bytes]
    _body_bytes: int
    _body_start: bytes
    _retry_after: bytes | None
    _is_delimited: bool
    _is_complete: bool
    _keeps_alive: bool
    _spoilt: bool
    #: Whether the headers were refused, and are read liberally; whether it is in doubt where the body ends.
    _is_odd: bool
    _is_in_doubt: bool

    def __init__(
        self, loop: asyncio.AbstractEventLoop, address: str, on_lost: Callable[[HttpConnection], None]
    ) -> None:
        self.address = address
        self.is_reusable = False
        self.opened_s = loop.time()
        self._loop = loop
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[ParsedResponse] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ends_s = 0.0
        self._timer_s = 0.0
        self._timeout_s = 0.0
        self._exchanges = 0
        self._parser = httptools.HttpResponseParser(self)
        self._begin_answer()

    # --- for the HTTP client

    async def exchange(self, data: bytes, ends_s: float, timeout_s: float) -> ParsedResponse:
        """Sends a whole request and gives its answer; by loop time `ends_s` at the latest (`timeout_s`, for the words).

        Cancelled, it closes the connection.

        Raises:
            Broken: there is no answer.
            Stale: a kept-alive connection was gone already.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            raise Stale
        self._begin_answer()
        self._exchanges += 1
        self.is_reusable = False
        self._timeout_s = timeout_s
        waiter: asyncio.Future[ParsedResponse] = self._loop.create_future()
        self._waiter = waiter
        self._end_at(ends_s)
        transport.write(data)
        try:
            return await waiter
        except asyncio.CancelledError:
            self.abort()
            raise

    def rest(self, until_s: float) -> None:
        """Keeps the connection for another exchange, until loop time `until_s`."""
        self._end_at(until_s)

    def abort(self) -> None:
        """Closes at once."""
        self.is_reusable = False
        if self._transport is not None:
            self._transport.abort()

    # --- for the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._waiter is None:
            self.abort()  # nobody asked
            return
        self._received_bytes += len(data)
        if not self._status:
            self._raw += data
        self._feed(data)
        self._take_stock()

    def eof_received(self) -> None:
        """Lets the transport close; `connection_lost` follows."""

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_reusable = False
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        if self._waiter is not None:
            self._end_of_stream(exc)
        self._on_lost(self)

    # --- for the parser

    def on_message_begin(self) -> None:
        if self._is_complete:
            self._spoilt = True

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + 4
        if not self._status:  # what comes after the body is none of the head
            self._headers.append(name + b": " + value)
        length = len(name)
        if length == 11 and name.lower() == b"retry-after":
            self._retry_after = value
        elif length == 14 and name.lower() == b"content-length":
            self._is_delimited = True
        elif length == 17 and name.lower() == b"transfer-encoding":
            self._is_delimited = b"chunked" in value.lower()
            self._is_in_doubt = self._is_odd and value.lower() != b"chunked"

    def on_headers_complete(self) -> None:
        if not self._is_complete:
            status = self._parser.get_status_code()
            if status >= 200:
                self._status = status
                self._raw = self._raw[:RAW_START_BYTES]

    def on_body(self, data: bytes) -> None:
        if self._is_complete:
            return  # what follows the answer is none of it
        self._body_bytes += len(data)
        missing = BODY_START_BYTES - len(self._body_start)
        if missing > 0:
            self._body_start += data[:missing]

    def on_message_complete(self) -> None:
        if self._status:
            self._is_complete = True
            self._keeps_alive = self._parser.should_keep_alive()
        else:  # 100 and 103 announce the answer, and are not it
            self._headers.clear()
            self._retry_after = None
            self._is_delimited = False

    # --- its own

    def _begin_answer(self) -> None:
        self._received_bytes = 0
        self._raw = b""
        self._is_odd = False
        self._spoilt = False
        self._begin_reading()

    def _begin_reading(self) -> None:
        self._status = 0
        self._head_bytes = 0
        self._headers = []
        self._body_bytes = 0
        self._body_start = b""
        self._retry_after = None
        self._is_delimited = False
        self._is_complete = False
        self._keeps_alive = False
        self._is_in_doubt = False

    def _feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail("protocol", "the handler switched protocols, which was not asked for")
        except httptools.HttpParserError as exc:
            # What follows a complete answer spoils the connection, not the answer.
            self._spoilt = True
            if self._is_complete:
                return
            if self._status:
                self._fail("protocol", f"the answer is not HTTP/1.1: {exc}")
            elif self._is_odd:
                self._take_status(f"the answer is not HTTP/1.1: {exc}")
            else:
                self._read_liberally()

    def _read_liberally(self) -> None:
        """Begins anew with what came, and lets control characters and folded lines pass in headers' values."""
        self._is_odd = True
        self._begin_reading()
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(lenient_headers=True)
        self._feed(self._raw)

    def _take_status(self, problem: str) -> None:
        """Headers that cannot be read take nothing from a status line that can: the handler has the event, or not."""
        match = _STATUS_LINE.match(self._raw)
        if match is None:
            self._fail("protocol", problem)
        else:
            self._headers.clear()
            self._retry_after = None
            self._status = int(match[1])
            self._answer()

    def _take_stock(self) -> None:
        """After each piece: is it all there, or too much?"""
        if self._waiter is None:
            return
        if self._head_bytes > MAX_HEAD_BYTES or (not self._status and self._received_bytes > MAX_HEAD_BYTES):
            self._fail("too_large", f"the answer's headers are longer than {MAX_HEAD_BYTES // 1024} KiB")
        elif self._is_complete or (self._status and self._is_in_doubt):
            self._answer()
        elif self._body_bytes > MAX_BODY_BYTES or self._received_bytes > MAX_ANSWER_BYTES:
            self._spoilt = True  # the rest is not read
            self._answer()

    def _answer(self) -> None:
        transport, waiter = self._transport, self._waiter
        self._waiter = None
        self.is_reusable = (
            self._keeps_alive and not self._spoilt and transport is not None and not transport.get_write_buffer_size()
        )
        if not self.is_reusable:
            self.abort()
        if waiter is not None and not waiter.done():
            retry_after = None if self._retry_after is None else self._retry_after.decode("latin-1")
            head_start = b"\n".join(self._headers)[:HEAD_START_BYTES]
            waiter.set_result(ParsedResponse(self._status, self._body_start, retry_after, self._body_bytes, head_start))

    def _fail(self, word: str, detail: str) -> None:
        self._raise(Broken(word, detail, self.address, self._raw[:RAW_START_BYTES]))

    def _raise(self, exc: Exception) -> None:
        waiter, self._waiter = self._waiter, None
        self.abort()
        if waiter is not None and not waiter.done():
            waiter.set_exception(exc)

    def _end_of_stream(self, exc: Exception | None) -> None:
        if self._status and not self._is_delimited and exc is None:
            self._answer()  # RFC 9112 6.3: the body lasts until the connection closes
        elif self._exchanges > 1 and not self._received_bytes:
            self._raise(Stale())
        elif self._received_bytes:
            self._fail("disconnect", "the connection was lost in the middle of the answer")
        else:
            self._fail("disconnect", "the connection was lost before an answer came")

    def _end_at(self, ends_s: float) -> None:
        """Sets the time of the end. The timer is moved only when it would ring too late: seldom, in a row of posts."""
        self._ends_s = ends_s
        if self._timer is None or self._timer_s > ends_s:
            self._wind(ends_s)

    def _wind(self, at_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = at_s
        self._timer = self._loop.call_at(at_s, self._ring)

    def _ring(self) -> None:
        self._timer = None
        if self._ends_s > self._loop.time():
            self._wind(self._ends_s)
        elif self._waiter is None:
            self.abort()
        else:
            self._fail("timeout", f"{self._missing()} within {self._timeout_s:g} s")

    def _missing(self) -> str:
        if not self._received_bytes:
            return "no byte of an answer came"
        return f"the {'rest' if self._status else 'headers'} of the answer did not come"

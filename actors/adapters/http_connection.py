"""Connection to a handler: sends a request, waits for its response, and keeps both within their time.

Written for low CPU cost: a POST takes a fraction of the CPU of a general-purpose client (benchmarks/bench_sender.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from actors.adapters.http_response import ExchangeFailed, ResponseParser, StaleConnection

#: How long to wait for more if the headers leave doubt about the end of the response.
DOUBT_S: Final = 1.0


class HttpConnection(asyncio.Protocol):
    """A connection that carries one exchange at a time. `is_reusable` is whether another may follow."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        address: str,
        parser: ResponseParser,
        on_lost: Callable[[HttpConnection], None],
    ) -> None:
        self.address = address
        #: Holds the response after `exchange`, until the next one.
        self.parser = parser
        self.is_reusable = False
        self.opened_s = loop.time()
        self._loop = loop
        self._on_lost = on_lost
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ends_s = 0.0
        self._attempt_ends_s = 0.0
        self._timer_s = 0.0
        self._timeout_s = 0.0
        self._exchanges = 0

    # --- called by the HTTP client

    async def exchange(self, data: bytes, ends_s: float, timeout_s: float) -> None:
        """Sends a whole request and returns when `parser` has the response, at loop time `ends_s` at the latest.

        `timeout_s` is for the error text. Cancellation closes the connection.

        Raises:
            ExchangeFailed: there is no response.
            StaleConnection: a kept-alive connection had closed.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            raise StaleConnection
        self.parser.begin()
        self._exchanges += 1
        self.is_reusable = False
        self._timeout_s = timeout_s
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiter = waiter
        self._attempt_ends_s = ends_s
        self.end_at(ends_s)
        transport.write(data)
        try:
            await waiter
        except asyncio.CancelledError:
            self.abort()
            raise

    def end_at(self, ends_s: float) -> None:
        """Sets the loop time when the exchange has to be over, or when the idle connection is closed.

        The timer is only moved if it would fire too late: rarely, in a series of POSTs.
        """
        self._ends_s = ends_s
        if self._timer is None or self._timer_s > ends_s:
            self._set_timer(ends_s)

    def abort(self) -> None:
        """Closes the connection at once."""
        self.is_reusable = False
        if self._transport is not None:
            self._transport.abort()

    # --- called by the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._waiter is None:
            self.abort()  # no request is pending
            return
        try:
            is_over = self.parser.feed(data)
        except ExchangeFailed as exc:
            exc.address = self.address
            self._raise(exc)
        else:
            if is_over:
                self._succeed()
            elif self.parser.is_doubtful:
                self.end_at(min(self._attempt_ends_s, self._loop.time() + DOUBT_S))

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

    # --- internal

    def _succeed(self) -> None:
        transport, waiter, parser = self._transport, self._waiter, self.parser
        self._waiter = None
        self.is_reusable = parser.keeps_alive and transport is not None and not transport.get_write_buffer_size()
        if not self.is_reusable:
            self.abort()
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _fail(self, code: str, detail: str) -> None:
        self._raise(ExchangeFailed(code, detail, self.address, self.parser.raw_start))

    def _raise(self, exc: Exception) -> None:
        waiter, self._waiter = self._waiter, None
        self.abort()
        if waiter is not None and not waiter.done():
            waiter.set_exception(exc)

    def _end_of_stream(self, exc: Exception | None) -> None:
        if self.parser.is_doubtful or (exc is None and self.parser.finish()):
            self._succeed()
        elif self.parser.received_bytes:
            self._fail("disconnect", "the connection was lost in the middle of the answer")
        elif self._exchanges > 1:
            self._raise(StaleConnection())
        else:
            self._fail("disconnect", "the connection was lost before an answer arrived")

    def _set_timer(self, at_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_s = at_s
        self._timer = self._loop.call_at(at_s, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        if self._ends_s > self._loop.time():
            self._set_timer(self._ends_s)
        elif self._waiter is None:
            self.abort()
        elif self.parser.is_doubtful:
            self._succeed()
        else:
            self._fail("timeout", f"{self._missing()} within {self._timeout_s:g} s")

    def _missing(self) -> str:
        if not self.parser.received_bytes:
            return "no byte of an answer arrived"
        return f"the {'rest' if self.parser.status else 'headers'} of the answer did not arrive"

"""Connection limits of the server: size of request heads, and time to send a request (docs/adr/0008).

uvicorn reads a request head of any length at any speed. Here, a head (with its request line), the trailers of a body
and the framing of a chunk are limited to 64 KiB. A head must arrive within 10 s, on a new connection counted from its
start; a body must not pause for 12 s and must be complete within 60 s. Incomplete heads take at most 4 MiB in all. Time
during which the server does not read,
because it handles earlier requests, does not count. Between requests a connection may be idle for 12 s, and one of a
trusted proxy for uvicorn's keep-alive time-out.

uvicorn also closes a connection at once after a response with `Connection: close`. If the client is still sending, as
Python's urllib is, what arrives then makes the kernel reset the connection, and the client never sees the response.
Here, the server lingers: it ends its side only, then reads and drops what the client sends, within limits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.http.client_address import ClientAddresses
from api.http.connection_budget import ConnectionBudget
from api.http.deadline_checker import DeadlineChecker
from api.http.problem_types import HEAD_TOO_LARGE, MALFORMED, TOO_SLOW, ProblemType
from api.http.problems import Problem

#: Bytes that are dropped after a response, before the connection is cut.
MAX_DROPPED_BYTES: Final = 256 * 1024 * 1024
#: Bytes that may arrive without completing a head and without being part of a body.
MAX_HEAD_BYTES: Final = 64 * 1024


#: Bytes of incomplete heads that all connections may hold. Beyond it, the one that waits longest is closed.
MAX_HELD_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """Time limits of a connection, in seconds, enforced with a precision of `check_s`."""

    head_s: float = 10.0
    #: Without receiving a byte of the body.
    pause_s: float = 12.0
    body_s: float = 60.0
    #: Between requests, unless the client is a trusted proxy.
    idle_s: float = 12.0
    #: How long a client that was answered may send nothing before it closes the connection, and how long it may send.
    linger_s: float = 2.0
    #: At a stop of the server, how long a client that is connected may take to send a request.
    last_request_s: float = 0.3
    dropping_s: float = 30.0
    check_s: float = 1.0


#: What the connection waits for. Plain integers, because access to Enum members is slow.
_NOTHING: Final = 0
_HEAD: Final = 1
_BODY: Final = 2
#: A head ended within this piece of data; the rest of the piece decides what to wait for next.
_UNSETTLED: Final = 3
#: Our side has ended; the client has time to finish sending and to read the response.
_GOING: Final = 4


class ResponseTransport:
    """The transport of a connection as responses use it. To close it means to linger if the client is still sending."""

    __slots__ = ("close", "is_closing", "write")

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


class LimitedHttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol with `limits`: responds 431 or 408 if they are exceeded and a response is still possible."""

    limits: ClassVar[HttpLimits] = HttpLimits()
    addresses: ClassVar[ClientAddresses] = ClientAddresses(())
    budget: ClassVar[ConnectionBudget] = ConnectionBudget(1 << 30)
    #: The checker for the event loop of the latest connection. A process has only one event loop.
    _latest_checker: ClassVar[DeadlineChecker | None] = None

    _checker: DeadlineChecker
    _response_transport: ResponseTransport
    _dropped = 0
    #: Bytes fed to the parser since it last completed a head or returned part of a body.
    _unused = 0
    _is_in_body = False
    _wait = _NOTHING
    _waits_since_s = 0.0
    _progress_at_s = 0.0
    _has_progress = False
    #: At a stop of the server, when the connection ends after the next response.
    _is_last = False

    # --- receiving

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        checker = self._latest_checker
        if checker is None or checker.loop is not self.loop:
            checker = type(self)._latest_checker = DeadlineChecker(self.loop, self.limits.check_s)  # noqa: SLF001 - its own class
        self._checker = checker
        if not (self.client and self.addresses.trusts(self.client[0])):
            self.timeout_keep_alive = self.limits.idle_s  # type: ignore[assignment]  # uvicorn passes it to `call_later`
        self._response_transport = ResponseTransport(transport, self._close)
        if len(self.connections) > self.budget.connections:
            self._make_room()
            self.budget.note_closed()
        self._wait_for(_HEAD)

    def _make_room(self, min_bytes: int = 0) -> None:
        """Closes a connection: one that waits for its client and holds this much, or else one without a request."""
        waiting = (each for each in self._checker.longest_waiting(min_bytes) if isinstance(each, LimitedHttpProtocol))
        idle = (
            each
            for each in self.connections
            if isinstance(each, LimitedHttpProtocol) and each is not self and each._is_idle  # noqa: SLF001 - its own class
        )
        closed = next(waiting, None) or next(idle, self)
        closed.transport.abort()
        self._checker.remove(closed)

    @property
    def _is_idle(self) -> bool:
        return self._wait == _NOTHING and (self.cycle is None or self.cycle.response_complete)

    def connection_lost(self, exc: Exception | None) -> None:
        self._checker.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unused += len(data)
        if self._unused <= MAX_HEAD_BYTES and self._wait != _GOING:
            HttpToolsProtocol.data_received(self, data)
        elif self._wait == _GOING:
            self._drop(data)
            return
        else:
            self._unused -= len(data)
            self._take_in_pieces(data)
        if self._unused or self._wait or self._is_in_body:
            self._settle()

    def _take_in_pieces(self, data: bytes) -> None:
        """Feeds pieces no larger than what the limit allows, so that a head that is too long is noticed."""
        rest = memoryview(data)
        while rest and self._wait != _GOING and not self.transport.is_closing():
            room = MAX_HEAD_BYTES - self._unused
            if room <= 0:
                self._refuse(HEAD_TOO_LARGE, f"over {MAX_HEAD_BYTES} bytes arrived that are not part of a body")
                return
            piece, rest = rest[:room], rest[room:]
            self._unused += len(piece)
            super().data_received(bytes(piece))

    def _drop(self, data: bytes) -> None:
        self._has_progress = True
        self._dropped += len(data)
        if self._dropped > MAX_DROPPED_BYTES:
            self.transport.abort()

    # --- parser callbacks. Called for every request, so without `super()`, which would double their cost.

    def on_headers_complete(self) -> None:
        self._unused = 0
        self._is_in_body = True
        if self._wait:
            self._wait = _UNSETTLED
        HttpToolsProtocol.on_headers_complete(self)
        self.cycle.transport = self._response_transport  # type: ignore[assignment]
        if self._is_last:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        self._unused = 0
        self._has_progress = True
        HttpToolsProtocol.on_body(self, body)

    def on_message_complete(self) -> None:
        self._is_in_body = False
        HttpToolsProtocol.on_message_complete(self)

    def on_response_complete(self) -> None:
        if self._wait != _GOING:
            HttpToolsProtocol.on_response_complete(self)

    def send_400_response(self, msg: str) -> None:
        self._refuse(MALFORMED, f"the request is not HTTP: {msg}")

    # --- waiting for the client

    def _settle(self) -> None:
        """Decides what to wait for next, after a piece of data that was not exactly one request."""
        if self._wait == _GOING or self.transport.is_closing():
            return
        if self._is_in_body:
            self._wait_for(_BODY)
            self._checker.hold(self, 0)
        elif self._unused:
            self._wait_for(_HEAD)
            self._checker.hold(self, self._unused)
            if self._checker.held_bytes > MAX_HELD_BYTES:
                self._make_room(min_bytes=1)
        else:
            self._wait = _NOTHING
            self._checker.remove(self)
            if self.cycle.response_complete:
                # The rest of a body arrived after the response, and uvicorn cancelled its keep-alive time-out.
                self._unset_keepalive_if_required()
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )

    def _wait_for(self, wait: int) -> None:
        if self._wait != wait:
            self._wait = wait
            self._waits_since_s = self._progress_at_s = self.loop.time()
            self._has_progress = False
            self._checker.add(self)

    def end_if_late(self, now_s: float) -> None:
        """Ends the connection if its client is too slow."""
        waited_s = now_s - self._waits_since_s
        if self._wait == _GOING:
            if self._idle_s(now_s) > self.limits.linger_s or waited_s > self.limits.dropping_s:
                self.transport.abort()
        elif self.transport.is_closing():
            self._wait_for(_GOING)
        elif self._is_held_up():
            self._waits_since_s = self._progress_at_s = now_s
        elif self._wait == _BODY:
            self._end_if_body_is_late(now_s)
        elif waited_s > self.limits.head_s:
            self._refuse(TOO_SLOW, f"the request's head did not arrive within {self.limits.head_s:g} s")

    def _is_held_up(self) -> bool:
        """Whether the delay is the server's rather than the client's."""
        if self.flow.read_paused:
            return True
        if self.cycle is None or self.cycle.response_complete:
            return False
        return self._wait == _HEAD or self.cycle.waiting_for_100_continue

    def _end_if_body_is_late(self, now_s: float) -> None:
        if self._idle_s(now_s) > self.limits.pause_s:
            self._refuse(TOO_SLOW, f"no part of the body arrived for {self.limits.pause_s:g} s")
        elif now_s - self._waits_since_s > self.limits.body_s:
            self._refuse(TOO_SLOW, f"the body was not complete within {self.limits.body_s:g} s")

    def _idle_s(self, now_s: float) -> float:
        """Seconds since the last check at which bytes had arrived."""
        if self._has_progress:
            self._has_progress = False
            self._progress_at_s = now_s
        return now_s - self._progress_at_s

    # --- ending

    def shutdown(self) -> None:
        """Ends the connection at a stop of the server: after the request that is in progress, or on its way.

        uvicorn closes idle connections at once, and so resets those whose request has just been sent.
        """
        if self.cycle is None or self.cycle.response_complete:
            self._is_last = True
            self.loop.call_later(self.limits.last_request_s, super().shutdown)
        else:
            super().shutdown()

    def _refuse(self, kind: ProblemType, detail: str) -> None:
        """Responds, if nothing was sent yet, and stops reading; the application sees a disconnect."""
        may_answer = self._may_answer()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not may_answer:
            self.transport.abort()
            return
        self.transport.write(_answer(kind, detail))
        self._linger()

    def _close(self) -> None:
        """Closes the connection after a response."""
        if self._is_in_body and not self.transport.is_closing():
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        """Ends our side; what still arrives is dropped."""
        self.transport.write_eof()
        self.flow.resume_reading()
        self._wait_for(_GOING)

    def _may_answer(self) -> bool:
        """Whether a request is pending and no other response is being sent."""
        if self._is_in_body:
            return not self.pipeline and not self.cycle.response_started
        return self._unused > 0 and (self.cycle is None or self.cycle.response_complete)


_ANSWER: Final = (
    b"HTTP/1.1 %d %s\r\n"
    b"content-type: %s\r\ncontent-length: %d\r\ncache-control: no-store\r\nconnection: close\r\n\r\n%s"
)


def _answer(kind: ProblemType, detail: str) -> bytes:
    response = Problem(kind=kind, detail=detail).response()
    body, content_type = response.body, response.content_type.encode()
    return _ANSWER % (kind.status, kind.title.encode(), content_type, len(body), body)

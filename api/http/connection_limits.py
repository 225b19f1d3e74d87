"""Connection limits of the server: size of request heads, and time to send a request (docs/adr/0008).

uvicorn reads a request head of any length at any speed. Here, a head (with its request line), the trailers of a body
and the framing of a chunk are limited to 64 KiB. A head must arrive within 10 s, on a new connection counted from its
start; a body must not pause for 20 s and must be complete within 60 s. Time during which the server does not read,
because it handles earlier requests, does not count. Between requests, uvicorn's keep-alive time-out applies.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.http.problems import HEAD_TOO_LARGE, TOO_SLOW, Problem, ProblemType

#: Bytes that may arrive without completing a head and without being part of a body.
MAX_HEAD_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """Time limits of a connection, in seconds, enforced with a precision of `check_s`."""

    head_s: float = 10.0
    #: Without receiving a byte of the body.
    pause_s: float = 20.0
    body_s: float = 60.0
    #: How long a rejected client has to read the response.
    linger_s: float = 2.0
    check_s: float = 1.0


#: What the connection waits for. Plain integers, because access to Enum members is slow.
_NOTHING: Final = 0
_HEAD: Final = 1
_BODY: Final = 2
#: A head ended within this piece of data; the rest of the piece decides what to wait for next.
_UNSETTLED: Final = 3
#: The connection is closing; the client has time to read the response.
_GOING: Final = 4


class DeadlineChecker:
    """Checks all connections that wait for their client: one timer per event loop, none while no connection waits.

    A request that arrives in one piece, as nearly all do, never gets here.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, interval_s: float) -> None:
        self.loop = loop
        self._interval_s = interval_s
        self._waiting: set[LimitedHttpProtocol] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: LimitedHttpProtocol) -> None:
        """Starts checking the connection."""
        self._waiting.add(connection)
        if self._timer is None:
            self._timer = self.loop.call_later(self._interval_s, self._check)

    def remove(self, connection: LimitedHttpProtocol) -> None:
        """Stops checking the connection."""
        self._waiting.discard(connection)

    def _check(self) -> None:
        self._timer = None
        now_s = self.loop.time()
        for connection in tuple(self._waiting):
            connection.end_if_late(now_s)
        if self._waiting:
            self._timer = self.loop.call_later(self._interval_s, self._check)


class LimitedHttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol with `limits`: responds 431 or 408 if they are exceeded and a response is still possible."""

    limits: ClassVar[HttpLimits] = HttpLimits()
    #: The checker for the event loop of the latest connection. A process has only one event loop.
    _latest_checker: ClassVar[DeadlineChecker | None] = None

    _checker: DeadlineChecker
    #: Bytes fed to the parser since it last completed a head or returned part of a body.
    _unused = 0
    _is_in_body = False
    _wait = _NOTHING
    _waits_since_s = 0.0
    _progress_at_s = 0.0
    _has_progress = False

    # --- receiving

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        checker = self._latest_checker
        if checker is None or checker.loop is not self.loop:
            checker = type(self)._latest_checker = DeadlineChecker(self.loop, self.limits.check_s)  # noqa: SLF001 - its own class
        self._checker = checker
        self._wait_for(_HEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        self._checker.remove(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unused += len(data)
        if self._unused <= MAX_HEAD_BYTES and self._wait != _GOING:
            HttpToolsProtocol.data_received(self, data)
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

    # --- parser callbacks. Called for every request, so without `super()`, which would double their cost.

    def on_headers_complete(self) -> None:
        self._unused = 0
        self._is_in_body = True
        if self._wait:
            self._wait = _UNSETTLED
        HttpToolsProtocol.on_headers_complete(self)

    def on_body(self, body: bytes) -> None:
        self._unused = 0
        self._has_progress = True
        HttpToolsProtocol.on_body(self, body)

    def on_message_complete(self) -> None:
        self._is_in_body = False
        HttpToolsProtocol.on_message_complete(self)

    # --- waiting for the client

    def _settle(self) -> None:
        """Decides what to wait for next, after a piece of data that was not exactly one request."""
        if self._wait == _GOING or self.transport.is_closing():
            return
        if self._is_in_body:
            self._wait_for(_BODY)
        elif self._unused:
            self._wait_for(_HEAD)
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
            if waited_s > self.limits.linger_s:
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
        if self._has_progress:
            self._has_progress = False
            self._progress_at_s = now_s
        if now_s - self._progress_at_s > self.limits.pause_s:
            self._refuse(TOO_SLOW, f"no part of the body arrived for {self.limits.pause_s:g} s")
        elif now_s - self._waits_since_s > self.limits.body_s:
            self._refuse(TOO_SLOW, f"the body was not complete within {self.limits.body_s:g} s")

    # --- ending

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
        # If it were closed at once, incoming data would reset the connection before the client reads the response.
        self.transport.write_eof()
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

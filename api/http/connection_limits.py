"""How much one connection may send before it makes sense, and how long it may keep the server waiting.

uvicorn reads a request's head however long it is and however slowly it comes. Here a head with its request line, the
trailers of a body and the frame of a chunk have at most 64 KiB. A head is there within 10 s, on a fresh connection
counted from its start; a body never pauses for 20 s and is whole within 60 s. Time in which we do not read, because
requests before it are being answered, does not count. Between requests uvicorn's own keep-alive time-out holds.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import ClassVar, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from api.http.problems import HEAD_TOO_LARGE, TOO_SLOW, Problem, ProblemType

#: Bytes that may come without completing a head, or without being part of a body.
MAX_HEAD_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpLimits:
    """How long a connection may let us wait: seconds, kept to within `sweep_s`."""

    head_s: float = 10.0
    #: Without a byte of the body.
    pause_s: float = 20.0
    body_s: float = 60.0
    #: How long a refused client has to read why.
    linger_s: float = 2.0
    sweep_s: float = 1.0


#: What the client has begun and not finished; plain numbers, because an Enum's members are slow to get at.
_NOTHING: Final = 0
_HEAD: Final = 1
_BODY: Final = 2
#: A whole head has come since; what is owed now is settled at the end of the piece.
_UNSETTLED: Final = 3
#: The connection is being closed; the client is given time to read the answer.
_GOING: Final = 4


class Sweep:
    """Looks now and then at every connection that waits for its client: one timer a loop, none when nobody waits.

    A request that comes in one piece, as nearly all do, never gets here.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, interval_s: float) -> None:
        self.loop = loop
        self._interval_s = interval_s
        self._waiting: set[LimitedHttpProtocol] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, connection: LimitedHttpProtocol) -> None:
        """Looks at it from now on."""
        self._waiting.add(connection)
        if self._timer is None:
            self._timer = self.loop.call_later(self._interval_s, self._look)

    def remove(self, connection: LimitedHttpProtocol) -> None:
        """Looks at it no more."""
        self._waiting.discard(connection)

    def _look(self) -> None:
        self._timer = None
        now_s = self.loop.time()
        for connection in tuple(self._waiting):
            connection.end_if_late(now_s)
        if self._waiting:
            self._timer = self.loop.call_later(self._interval_s, self._look)


class LimitedHttpProtocol(HttpToolsProtocol):
    """uvicorn's protocol with `limits`: answers 431 or 408 beyond them, where an answer can still be given."""

    limits: ClassVar[HttpLimits] = HttpLimits()
    #: Of the loop that the latest connection belongs to; a process has one.
    _latest_sweep: ClassVar[Sweep | None] = None

    _sweep: Sweep
    #: Bytes the parser took since it last gave a head or a part of a body.
    _unused = 0
    _is_in_body = False
    _wait = _NOTHING
    _waits_since_s = 0.0
    _progress_at_s = 0.0
    _has_progress = False

    # --- what comes

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        sweep = self._latest_sweep
        if sweep is None or sweep.loop is not self.loop:
            sweep = type(self)._latest_sweep = Sweep(self.loop, self.limits.sweep_s)  # noqa: SLF001 - its own class
        self._sweep = sweep
        self._wait_for(_HEAD)

    def connection_lost(self, exc: Exception | None) -> None:
        self._sweep.remove(self)
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
        """Each piece fills the limit up at most, so that a head that is too long is noticed where it is."""
        rest = memoryview(data)
        while rest and self._wait != _GOING and not self.transport.is_closing():
            room = MAX_HEAD_BYTES - self._unused
            if room <= 0:
                self._refuse(HEAD_TOO_LARGE, f"over {MAX_HEAD_BYTES} bytes came that are no part of a body")
                return
            piece, rest = rest[:room], rest[room:]
            self._unused += len(piece)
            super().data_received(bytes(piece))

    # --- what the parser finds; called for every request, so without `super()`, which costs as much as all the rest

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
        """Settles what the client owes after a piece that did not end with a request, or that began without one."""
        if self._wait == _GOING or self.transport.is_closing():
            return
        if self._is_in_body:
            self._wait_for(_BODY)
        elif self._unused:
            self._wait_for(_HEAD)
        else:
            self._wait = _NOTHING
            self._sweep.remove(self)
            if self.cycle.response_complete:
                # The rest of a body came after its answer, and uvicorn has called the keep-alive time-out off.
                self._unset_keepalive_if_required()
                self.timeout_keep_alive_task = self.loop.call_later(
                    self.timeout_keep_alive, self.timeout_keep_alive_handler
                )

    def _wait_for(self, wait: int) -> None:
        if self._wait != wait:
            self._wait = wait
            self._waits_since_s = self._progress_at_s = self.loop.time()
            self._has_progress = False
            self._sweep.add(self)

    def end_if_late(self, now_s: float) -> None:
        """Ends the connection if its client has let us wait for too long."""
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
            self._refuse(TOO_SLOW, f"the request's head did not come within {self.limits.head_s:g} s")

    def _is_held_up(self) -> bool:
        """Whether it is not the client that the rest of the request waits for."""
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
            self._refuse(TOO_SLOW, f"nothing of the body came for {self.limits.pause_s:g} s")
        elif now_s - self._waits_since_s > self.limits.body_s:
            self._refuse(TOO_SLOW, f"the body was not whole within {self.limits.body_s:g} s")

    # --- ending

    def _refuse(self, kind: ProblemType, detail: str) -> None:
        """Answers, if nothing was answered yet, and takes no more; the application sees its client gone."""
        may_answer = self._may_answer()
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not may_answer:
            self.transport.abort()
            return
        self.transport.write(_answer(kind, detail))
        # Closed at once, the connection would be reset by what still comes, and the client would never read why.
        self.transport.write_eof()
        self._wait_for(_GOING)

    def _may_answer(self) -> bool:
        """Not in the middle of another answer, and not to a connection on which nothing was asked."""
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

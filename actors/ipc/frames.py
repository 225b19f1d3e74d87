"""Frames: requests and answers between processes over a stream socket, with any number of requests in flight.

    frame = length of the body (4 bytes, little endian) · kind (1) · request id (8) · body

The answer to a request has the same request id and the kind `OK` or `ERROR`; a request with id 0 gets no answer. The
two ends agree on all other kinds.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Callable
from typing import Final, cast

import msgspec

from domain.errors import FeedbackLoopsError, from_wire, to_wire

HEADER: Final = struct.Struct("<IBQ")
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
OK: Final = 0
ERROR: Final = 1
#: Seconds without a sign of life after which a network connection is closed.
SILENCE_S: Final = 5

OnFrame = Callable[[int, int, bytes], None]


def error_body(error: FeedbackLoopsError) -> bytes:
    """The body of an `ERROR` frame."""
    return msgspec.json.encode(to_wire(error))


def read_error(body: bytes) -> FeedbackLoopsError:
    """The error in the body of an `ERROR` frame."""
    name, args = msgspec.json.decode(body)
    return from_wire(name, args)


def _detect_silence(transport: asyncio.BaseTransport) -> None:
    """Sets keep-alive and time-outs on a TCP socket: by default TCP takes 15 minutes to notice a lost machine."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6} or sys.platform != "linux":
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 2)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, SILENCE_S - 2)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_S * 1000)


class FrameProtocol(asyncio.Protocol):
    """Splits a stream into frames. Calls `on_frame` with kind, request id and body, and `on_lost` at the end.

    A frame with a body of more than `max_body_bytes` ends the connection.
    """

    def __init__(self, on_frame: OnFrame, on_lost: Callable[[], None], max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._max_body_bytes = max_body_bytes
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        _detect_silence(transport)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        at = 0
        while len(buffer) - at >= HEADER.size:
            length, kind, request_id = HEADER.unpack_from(buffer, at)
            if length > self._max_body_bytes:
                self.close()
                return
            end = at + HEADER.size + length
            if len(buffer) < end:
                break
            body = bytes(buffer[at + HEADER.size : end])
            at = end
            self._on_frame(kind, request_id, body)
        del buffer[:at]

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  the reason changes nothing
        self._transport = None
        self._may_write.set()
        self._on_lost()

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    @property
    def unsent_bytes(self) -> int:
        """Bytes that the other end has not accepted yet."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def send(self, kind: int, request_id: int, body: bytes) -> None:
        """Sends a frame, unless the connection is closed."""
        if self._transport is not None:
            self._transport.write(HEADER.pack(len(body), kind, request_id) + body)

    def pass_frames_to(self, on_frame: OnFrame, max_body_bytes: int) -> None:
        """Passes all further frames to `on_frame`, under a new limit."""
        self._on_frame = on_frame
        self._max_body_bytes = max_body_bytes

    async def drained(self) -> None:
        """Returns when the other end accepts frames."""
        await self._may_write.wait()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Closes the connection at once, and drops what has arrived."""
        if self._transport is not None:
            self._on_frame = _drop
            self._transport.abort()


def _drop(_kind: int, _request_id: int, _body: bytes) -> None:
    """Takes the rest of the frames that arrived together with a bad one."""

"""The front end's way to the actors: one Unix socket to the gateway, opened again whenever it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import Sequence
from typing import Final, TypeVar, cast

from actors import gateway_protocol as wire
from actors.commands import Command
from domain.errors import Unavailable

R = TypeVar("R")
log = logging.getLogger(__name__)

RECONNECT_S: Final = 0.1
#: How long a call waits for a gateway that is being restarted before it gives up.
PATIENCE_S: Final = 2.0
#: Longer than the longest command: a verification that waits for two time-outs and a DNS one.
CALL_TIMEOUT_S: Final = 60.0
HITS_TIMEOUT_S: Final = 30.0


class GatewayClient:
    """Implements `actors.client.Client`. Any number of calls are in flight; their answers come in any order."""

    def __init__(self, socket_path: str) -> None:
        self._path = socket_path
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[bytes]] = {}
        self._writer: asyncio.StreamWriter | None = None
        self._connected = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Starts connecting, in the background; returns at once."""
        self._task = asyncio.create_task(self._stay_connected(), name="gateway-connection")

    async def close(self) -> None:
        """Closes the socket. What is in flight fails with `Unavailable`."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    @property
    def is_connected(self) -> bool:
        return self._connected.is_set()

    async def call(self, command: Command[R]) -> R:
        """See `Client.call`."""
        answer = await self._ask(wire.Kind.CALL, wire.call_body(command), CALL_TIMEOUT_S)
        return cast(R, wire.read_answer(command, answer))

    async def record_hits(self, hits: Sequence[bytes]) -> None:
        """See `Client.record_hits`."""
        await self._ask(wire.Kind.HITS, wire.hits_body(hits), HITS_TIMEOUT_S)

    async def _ask(self, kind: wire.Kind, body: bytes, timeout_s: float) -> bytes:
        try:
            await asyncio.wait_for(self._connected.wait(), PATIENCE_S)
        except TimeoutError:
            raise Unavailable("the gateway to the actors is away; it is being restarted, try again shortly") from None
        request_id = next(self._ids)
        answer = self._waiting[request_id] = asyncio.get_running_loop().create_future()
        try:
            if self._writer is None:
                raise Unavailable("the gateway to the actors went away")
            self._writer.write(wire.frame_bytes(kind, request_id, body))
            async with asyncio.timeout(timeout_s):
                await self._writer.drain()
                return await answer
        except TimeoutError:
            raise Unavailable(f"no answer from the actors within {timeout_s:.0f} s", True) from None
        except OSError as exc:
            raise Unavailable("the gateway to the actors went away", True) from exc
        finally:
            self._waiting.pop(request_id, None)

    async def _stay_connected(self) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_unix_connection(self._path, limit=1024 * 1024)
            except OSError:
                await asyncio.sleep(RECONNECT_S)
                continue
            self._writer = writer
            self._connected.set()
            log.info("connected to the gateway")
            try:
                await self._read_answers(reader)
            except OSError as exc:
                log.warning("the gateway's connection broke: %s", exc)
            finally:
                self._forget(writer)

    async def _read_answers(self, reader: asyncio.StreamReader) -> None:
        while (frame := await wire.read_frame(reader)) is not None:
            waiting = self._waiting.get(frame.request_id)
            if waiting is None or waiting.done():
                continue
            if frame.kind == wire.Kind.OK:
                waiting.set_result(frame.body)
            else:
                waiting.set_exception(wire.read_error(frame.body))

    def _forget(self, writer: asyncio.StreamWriter) -> None:
        self._connected.clear()
        self._writer = None
        writer.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(Unavailable("the gateway to the actors went away", True))

"""The gateway's server: takes frames from front ends and answers each when its work is done."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from actors import gateway_protocol as wire
from actors.commands import Command
from domain.errors import DomainError, FeedbackLoopsError, Overloaded, Unavailable

log = logging.getLogger(__name__)

#: Commands and batches that one front end may have in flight.
MAX_IN_FLIGHT = 512

RecordHits = Callable[[bytes], Awaitable[None]]
Handle = Callable[[Command[Any]], Awaitable[object]]


class Gateway:
    """Serves `actors.gateway_protocol` on a Unix socket.

    Args:
        record_hits: takes the body of a `HITS` frame; returns when its hits are in the ledger.
        handle: carries a command out.
    """

    def __init__(self, record_hits: RecordHits, handle: Handle) -> None:
        self._record_hits = record_hits
        self._handle = handle
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self, path: Path) -> None:
        """Listens at `path`, readable by its owner alone."""
        await asyncio.to_thread(path.unlink, missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, path, limit=1024 * 1024)
        await asyncio.to_thread(path.chmod, 0o600)

    async def stop(self, drain_s: float) -> None:
        """Takes no more connections, and waits up to `drain_s` for what is in flight."""
        if self._server is not None:
            self._server.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=drain_s)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mine: set[asyncio.Task[None]] = set()
        try:
            while (frame := await wire.read_frame(reader)) is not None:
                if len(mine) >= MAX_IN_FLIGHT:
                    self._send(writer, frame, wire.Kind.ERROR, wire.error_body(Overloaded("the gateway is busy")))
                    continue
                task = asyncio.create_task(self._answer(frame, writer))
                for tasks in (mine, self._tasks):
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
        except OSError as exc:
            log.warning("a front end's connection broke: %s", exc)
        finally:
            writer.close()

    async def _answer(self, frame: wire.Frame, writer: asyncio.StreamWriter) -> None:
        try:
            if frame.kind == wire.Kind.HITS:
                await self._record_hits(frame.body)
                body = b""
            else:
                body = wire.answer_body(await self._handle(wire.read_call(frame.body)))
        except FeedbackLoopsError as exc:
            if not isinstance(exc, DomainError):
                log.warning("a request failed: %s: %s", type(exc).__name__, exc)
            self._send(writer, frame, wire.Kind.ERROR, wire.error_body(exc))
        except Exception:
            log.exception("a request failed in a way nobody thought of")
            error = Unavailable("something went wrong inside the service; its log says what", True)
            self._send(writer, frame, wire.Kind.ERROR, wire.error_body(error))
        else:
            self._send(writer, frame, wire.Kind.OK, body)

    def _send(self, writer: asyncio.StreamWriter, frame: wire.Frame, kind: wire.Kind, body: bytes) -> None:
        if not writer.is_closing():
            with contextlib.suppress(OSError):
                writer.write(wire.frame_bytes(kind, frame.request_id, body))

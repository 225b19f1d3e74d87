"""Warm process for work on mails that come from anyone: one request after the other, and a new process after its death.

No mail can hurt more than this process: it has limits on memory and CPU time, and is killed when it takes too long. A
request that ended it is tried once more, in a new process, in case something else was the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from typing import Final

from actors.process_setup.import_path import python_module, with_own_code
from actors.process_setup.pdeathsig import killed_with_parent
from actors.returned_mail.frames import LENGTH_BYTES, frame
from domain.errors import Unavailable

log = logging.getLogger(__name__)

_ENDED: Final = (asyncio.IncompleteReadError, ConnectionError, TimeoutError)
_TRIES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLimits:
    """Limits of the process. Real mails need a few milliseconds and about 60 MB."""

    memory_bytes: int = 1 << 30
    #: CPU seconds for one request.
    cpu_s: int = 2
    #: Seconds for one request, waiting for a processor included.
    time_s: float = 10.0
    #: Seconds until the process must be ready.
    start_s: float = 30.0


class MailWorker:
    """Sends requests to a module that `actors.returned_mail.process_loop` runs. Use it in one event loop."""

    def __init__(self, module: str, limits: WorkerLimits) -> None:
        self._module = module
        self._limits = limits
        self._lock = asyncio.Lock()
        self._process: Process | None = None
        #: How many processes have ended while they worked on a mail.
        self.deaths = 0

    async def close(self) -> None:
        """Ends the process. The next request would start another one."""
        async with self._lock:
            await self._kill()

    async def _ask(self, payload: bytes) -> bytes | None:
        """The response to a request; None if the request ends each process.

        Raises:
            Unavailable: the process does not start. It is no mail's fault, so the request can be made later.
        """
        request = frame(payload)
        async with self._lock:
            for _ in range(_TRIES):
                try:
                    return await self._exchange(request)
                except _ENDED:
                    self.deaths += 1
                    facts = {"action": "mail.process-died", "worker": self._module, "bytes": len(payload)}
                    log.warning("a mail ended the process that worked on it", extra=facts)
        return None

    async def _exchange(self, request: bytes) -> bytes:
        """Sends a request and receives the response. After any failure, no process is left that could mix them up."""
        try:
            process = await self._ready_process()
            async with asyncio.timeout(self._limits.time_s):
                return await _call(process, request)
        except BaseException:
            await asyncio.shield(self._kill())
            raise

    async def _ready_process(self) -> Process:
        if self._process is not None and self._process.returncode is None:
            return self._process
        command = [*python_module(self._module), str(self._limits.memory_bytes), str(self._limits.cpu_s)]
        try:
            self._process = await asyncio.create_subprocess_exec(
                *killed_with_parent(command, signal.SIGKILL), stdin=PIPE, stdout=PIPE, env=with_own_code(os.environ)
            )
            async with asyncio.timeout(self._limits.start_s):
                await _call(self._process, b"")
        except (OSError, *_ENDED) as exc:
            raise Unavailable(f"the process {self._module} does not start") from exc
        return self._process

    async def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _call(process: Process, request: bytes) -> bytes:
    """Sends bytes and receives one message."""
    if process.stdin is None or process.stdout is None:  # both are pipes
        raise ConnectionError
    process.stdin.write(request)
    await process.stdin.drain()
    length = await process.stdout.readexactly(LENGTH_BYTES)
    return await process.stdout.readexactly(int.from_bytes(length, "big"))

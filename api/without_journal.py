"""Front end while its journal cannot be opened: answers hits, which wait in memory, and refuses everything else.

A click redirects whatever else is broken (I2). API and reports get 503 at once: otherwise clients would wait for a
process that ends and is started again and again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from starlette.types import Receive, Scope, Send

from api.http.problem_types import UNAVAILABLE
from api.http.problems import Problem
from api.http.response import Response, send_response
from api.journal.journal import Journal
from api.schemas.service import Health
from api.tracking.app import TrackingApp
from domain.errors import DataDirLost, StoreUnavailable

log = logging.getLogger(__name__)

#: Seconds between attempts to open the journal.
RETRY_S: Final = 1.0
_DETAIL: Final = "the journal of this front end cannot be opened; the log of the service has the reason"


class WithoutJournal:
    """ASGI application that answers tracking URLs and liveness, and everything else with 503.

    Its lifespan tries to open the journal, and calls `on_open` when that has worked.
    """

    def __init__(
        self,
        tracking: TrackingApp,
        open_journal: Callable[[], Journal],
        instance: str | None = None,
        retry_s: float = RETRY_S,
    ) -> None:
        """`open_journal` raises `StoreUnavailable` or `DataDirLost`. `instance` is the name of this run."""
        self._tracking = tracking
        self._open_journal = open_journal
        self._retry_s = retry_s
        self._health = Response.of(Health.of(instance))
        self.on_open: Callable[[], None] = lambda: None
        #: The open journal. None: it could not be opened until the stop.
        self.journal: Journal | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self._tracking.handles(scope["path"]):
            await self._tracking(scope, receive, send)
        elif scope["path"] == "/healthz":
            await send_response(scope, receive, send, self._health)
        else:
            problem = Problem(kind=UNAVAILABLE, detail=_DETAIL, headers=(("Retry-After", "5"),))
            await send_response(scope, receive, send, problem.response())

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        opening = asyncio.create_task(self._open(), name="open the journal")
        await send({"type": "lifespan.startup.complete"})
        await receive()
        opening.cancel()
        await asyncio.wait({opening})
        await send({"type": "lifespan.shutdown.complete"})

    async def _open(self) -> None:
        while self.journal is None:
            await asyncio.sleep(self._retry_s)
            with suppress(StoreUnavailable, DataDirLost):
                self.journal = await asyncio.to_thread(self._open_journal)
        log.warning("the journal is open", extra={"action": "journal_open"})
        self.on_open()

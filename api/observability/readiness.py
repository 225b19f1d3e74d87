"""Readiness probe: whether an event can go all the way from hit to handler now."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from actors.commands.service import CheckReadiness
from actors.gateway.client import Client
from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

#: Seconds that the actors have to respond: a probe expects a response within one.
TIMEOUT_S: Final = 0.9
#: Seconds between checks during start-up.
_POLL_S: Final = 0.2
STARTING: Final = "the service is still starting; it takes some seconds"


class JournalHealth(Protocol):
    """The state of the edge journal."""

    @property
    def problem(self) -> str | None:
        """Why it does not work, in one sentence, or None."""
        ...


class ReadinessProbe:
    """Checks the journal and, through the client, the actors.

    Args:
        url: the service's address, for the log line when it becomes ready.
    """

    def __init__(self, client: Client, journal: JournalHealth, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self._client = client
        self._journal = journal
        self._url = url
        self._timeout_s = timeout_s
        self._was_ready = False

    async def problems(self) -> list[str]:
        """Why the service is not ready; empty if it is. Starts with `STARTING` until it was ready once."""
        journal = [] if self._journal.problem is None else [self._journal.problem]
        found = journal + await self._actors_problems()
        if not found and not self._was_ready:
            # Logged by the first probe, so that the log line precedes its response.
            self._was_ready = True
            log.info("ready", extra={"action": "ready", "url": self._url})
        return found if self._was_ready else [STARTING, *found]

    async def _actors_problems(self) -> list[str]:
        try:
            async with asyncio.timeout(self._timeout_s):
                return (await self._client.call(CheckReadiness())).problems
        except TimeoutError:
            return [f"the actors did not answer within {self._timeout_s:g} s"]
        except FeedbackLoopsError as exc:
            return [str(exc)]

    async def announce(self) -> None:
        """Waits until the service is ready; `problems` then logs it, even without another probe."""
        while await self.problems():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(_POLL_S)

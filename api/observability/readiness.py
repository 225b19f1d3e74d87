"""Whether an event can go all the way from hit to handler now, and whether it ever could."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from actors.commands.service import CheckReadiness
from actors.gateway.client import Client
from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

#: Seconds that the actors have to say how they are: a probe wants its answer within one.
TIMEOUT_S: Final = 0.9
#: Between two looks at the start.
_POLL_S: Final = 0.2
STARTING: Final = "the service is still starting; it takes some seconds"


class JournalHealth(Protocol):
    """What readiness asks of the edge journal."""

    @property
    def problem(self) -> str | None:
        """Why it is not well, in one sentence, or None."""
        ...


class ReadinessProbe:
    """Asks the journal and, over the client, the actors.

    Args:
        url: where the service answers; the log says it with the first time that nothing is missing.
    """

    def __init__(self, client: Client, journal: JournalHealth, url: str, timeout_s: float = TIMEOUT_S) -> None:
        self._client = client
        self._journal = journal
        self._url = url
        self._timeout_s = timeout_s
        self._was_ready = False

    async def problems(self) -> list[str]:
        """What is missing, empty when nothing is; within the time-out. Before it was ever ready it says so first."""
        journal = [] if self._journal.problem is None else [self._journal.problem]
        found = journal + await self._actors_problems()
        if not found and not self._was_ready:
            # Whoever asks first: the log must not say it later than the answer to a probe does.
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
        """Returns when all is well for the first time, which the log has then; somebody has to ask."""
        while await self.problems():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(_POLL_S)

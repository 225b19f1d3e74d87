"""Readiness probe: whether an event can go all the way from hit to handler now."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from actors.commands.service import CheckReadiness
from actors.gateway.client import Client
from actors.settings.data_dir_watch import UNWATCHED, DataDirWatch
from domain.errors import DataDirLost, FeedbackLoopsError, JournalUnavailable, Starting, StoreUnavailable, Unavailable

log = logging.getLogger(__name__)

#: Seconds that the actors have to respond: a probe expects a response within one.
TIMEOUT_S: Final = 0.9
#: Seconds between checks during start-up.
_POLL_S: Final = 0.2
STARTING: Final = "the service is still starting; it takes some seconds"
NO_KEYS: Final = "this front end does not have the installation's keys yet"


class JournalHealth(Protocol):
    """The state of the edge journal."""

    @property
    def problem(self) -> str | None:
        """Why it does not work, in one sentence, or None."""
        ...

    @property
    def is_open(self) -> bool:
        """Whether hits can be added: to the disk, or to memory while the disk does not work."""
        ...


class ReadinessProbe:
    """Checks the data directory, the journal and, through the client, the actors.

    Args:
        url: the service's address, for the log line when it becomes ready.
        has_keys: whether this front end has the installation's keys.
    """

    def __init__(
        self,
        client: Client,
        journal: JournalHealth,
        url: str,
        timeout_s: float = TIMEOUT_S,
        watch: DataDirWatch = UNWATCHED,
        has_keys: Callable[[], bool] = lambda: True,
    ) -> None:
        self._client = client
        self._watch = watch
        self._journal = journal
        self._url = url
        self._timeout_s = timeout_s
        self._has_keys = has_keys
        self._was_ready = False

    async def problems(self) -> list[FeedbackLoopsError]:
        """Why the service is not ready; empty if it is. Starts with `Starting` until it was ready once."""
        own: list[FeedbackLoopsError] = []
        if problem := self._watch.check():
            own.append(DataDirLost(problem))
        if problem := self._journal.problem:
            own.append(JournalUnavailable(problem))
        if not self._has_keys():
            own.append(Unavailable(NO_KEYS))
        found = own + await self._actors_problems()
        if not found and not self._was_ready:
            # Logged by the first probe, so that the log line precedes its response.
            self._was_ready = True
            log.info("ready", extra={"action": "ready", "url": self._url})
        return found if self._was_ready else [Starting(STARTING), *found]

    def tracking_problems(self) -> list[FeedbackLoopsError]:
        """Why this front end does not answer hits; empty if it does, whatever else is missing."""
        return [] if self._journal.is_open else [JournalUnavailable("the service is stopping")]

    async def _actors_problems(self) -> list[FeedbackLoopsError]:
        try:
            async with asyncio.timeout(self._timeout_s):
                found = await self._client.call(CheckReadiness())
        except TimeoutError:
            return [Unavailable(f"the actors did not answer within {self._timeout_s:g} s")]
        except FeedbackLoopsError as exc:
            return [exc]
        of_store = set(found.of_store)
        return [(StoreUnavailable if n in of_store else Unavailable)(text) for n, text in enumerate(found.problems)]

    async def announce(self) -> None:
        """Waits until the service is ready; `problems` then logs it, even without another probe."""
        while await self.problems():  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(_POLL_S)

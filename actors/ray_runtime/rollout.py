"""The actors that a service has whatever loops there are: started where they are missing, replaced when outdated."""

from __future__ import annotations

import asyncio
import logging
from typing import Final, Protocol

from actors.loops.placement import is_place
from actors.ray_runtime import options
from actors.ray_runtime.calls import Actors
from actors.ray_runtime.deployment import Edition
from domain.errors import Conflict, FeedbackLoopsError

log = logging.getLogger(__name__)

START_TIMEOUT_S: Final = 60.0
#: A loop's actor that runs says within this what it was started with.
LOOP_TIMEOUT_S: Final = 5.0
#: Between two replacements, for what has waited for one to be through before it waits for the next.
SETTLE_S: Final = 1.5
#: What has something to finish before it is ended, and by which method.
FINISHING: Final = {options.LEDGER: "stop", options.SUPERVISOR: "rest"}
STOP_TIMEOUT_S: Final = 2.0
#: Between two looks whether an actor is missing: somebody may have killed it for good.
LOOK_S: Final = 5.0
#: One that is missing for so long is not just being replaced by a later start, with settings that we do not have.
MISSING_S: Final = 2.0


class Launcher(Protocol):
    """Starts and ends actors; each call blocks."""

    def there(self) -> set[str]:
        """The names of all actors, wherever and in whatever state."""
        ...

    def start(self, name: str, *, here: bool = False) -> None:
        """Starts the actor, unless one of the name is there; `here`: on this machine, if that can be."""
        ...

    def end(self, name: str) -> None:
        """Kills the one that was found under the name before; one that took its place meanwhile lives."""
        ...


class Fleet:
    """The ledger, the enrichers and the supervisor, shared by all front ends of a cluster.

    Several may do the same at once: whatever is done is done to one actor, by its identity, and does not hurt twice.
    """

    def __init__(self, actors: Actors, launcher: Launcher, edition: Edition, enrichers: int) -> None:
        self._actors = actors
        self._launcher = launcher
        self._edition = edition
        self._is_renewed = False
        self._readers = [*map(options.enricher_name, range(enrichers)), options.SUPERVISOR]

    @property
    def problem(self) -> str | None:
        """Why the actors are not all as they should be, or None. Until then no other front end should be restarted."""
        return None if self._is_renewed else "the actors are being replaced, one after the other"

    async def set_up(self) -> None:
        """Returns when all of them answer, whatever they were started with.

        Raises:
            Conflict: the actors are those of another installation; one cluster carries one.
            FeedbackLoopsError: one does not answer. Nothing is lost by calling this again.
        """
        # The ledger makes the store: only when it answers is there one to read.
        await self._start(options.LEDGER)
        theirs = await self._edition_of(options.LEDGER)
        if theirs.installation != self._edition.installation:
            raise Conflict(
                "this Ray carries the actors of a service with another master key: give all front ends of a cluster "
                "the same FEEDBACK_LOOPS_MASTER_KEY, and another service a Ray of its own"
            )
        await asyncio.gather(*map(self._start, self._readers))

    async def renew(self) -> None:
        """Replaces those that have older settings, or an older version, than we; returns when all of them answer.

        The `serve` that was started last decides. With other settings than those of a later one this leaves them alone,
        and says so in the log. Work goes on meanwhile, and waits for a second where an actor is replaced.

        What has another version is started on this machine: others may not have ours yet. The ledger is the first: it
        brings the store to our schema, which everybody else of our version needs.

        Raises:
            FeedbackLoopsError: one does not answer. Nothing is lost by calling this again.
        """
        for name in [options.LEDGER, *self._readers]:
            if differences := await self._outdated(name):
                await self._end(name)
                await self._start(name, here="version" in differences)
                await asyncio.sleep(SETTLE_S)
        # Hosts first: one that is up takes the loops of those that end after it.
        places = filter(is_place, await asyncio.to_thread(self._launcher.there))
        for name in sorted(places, key=lambda name: (not name.startswith(options.HOST_PREFIX), name)):
            await self._renew_place(name)
        self._is_renewed = True

    async def _renew_place(self, name: str) -> None:
        """One process of loops that does not answer holds up nobody else; it is renewed when it is started next."""
        try:
            if await self._outdated(name, LOOP_TIMEOUT_S):
                await self._actors.ask(options.SUPERVISOR, "replace", name, timeout_s=START_TIMEOUT_S)
                self._actors.forget(name)
        except FeedbackLoopsError as exc:
            facts = {"action": "place_not_renewed", "actor": name, "error": str(exc)}
            log.warning("a process of loops cannot be replaced now", extra=facts)

    async def keep(self) -> None:
        """Renews, and then starts again what somebody has ended for good; until it is cancelled.

        Restarting what dies is Ray's, and goes on without this.
        """
        is_done = False
        while True:
            try:
                if not is_done:
                    await self.renew()
                    is_done = True
                    log.info("every actor is as it should be", extra={"action": "renewed"})
                for name in await self._missing():
                    log.warning(
                        "an actor was ended and is started again", extra={"action": "actor_missing", "actor": name}
                    )
                    self._actors.forget(name)
                    await self._start(name)
            except FeedbackLoopsError as exc:
                log.warning("an actor cannot be started now", extra={"action": "actor_awaited", "error": str(exc)})
            await asyncio.sleep(LOOK_S)

    async def _missing(self) -> list[str]:
        """The actors that nobody starts."""
        missing = {options.LEDGER, *self._readers} - await asyncio.to_thread(self._launcher.there)
        if missing:
            await asyncio.sleep(MISSING_S)
            missing -= await asyncio.to_thread(self._launcher.there)
        return sorted(missing)

    async def _start(self, name: str, *, here: bool = False) -> None:
        await asyncio.to_thread(self._launcher.start, name, here=here)
        await self._actors.ask(name, "ping", timeout_s=START_TIMEOUT_S)

    async def _edition_of(self, name: str, timeout_s: float = START_TIMEOUT_S) -> Edition:
        return Edition.read(await self._actors.ask(name, "edition", timeout_s=timeout_s))

    async def _outdated(self, name: str, timeout_s: float = START_TIMEOUT_S) -> list[str]:
        """In what an actor differs from ours; nothing when it is to be left alone."""
        theirs = await self._edition_of(name, timeout_s)
        differences = self._edition.differences(theirs)
        if not differences:
            return []
        is_outdated = theirs.started_ms <= self._edition.started_ms
        facts = {"action": "actor_replaced" if is_outdated else "settings_differ", "actor": name}
        facts["differences"] = ",".join(differences)
        if is_outdated:
            log.info("an actor is replaced", extra=facts)
        else:
            log.warning("a later `serve` decided on other settings; restart this one with the same", extra=facts)
        return differences if is_outdated else []

    async def _end(self, name: str) -> None:
        """Ends an actor, when it has finished what it has in hand."""
        if finish := FINISHING.get(name):
            try:
                await self._actors.ask(name, finish, timeout_s=STOP_TIMEOUT_S)
            except (FeedbackLoopsError, AttributeError) as exc:  # the latter: of a version without such a method
                facts = {"action": "stop_failed", "actor": name, "error": str(exc)}
                log.warning("an actor did not stop as asked", extra=facts)
        await asyncio.to_thread(self._launcher.end, name)
        self._actors.forget(name)

"""Rollout of the actors that every service has: starts missing ones, and replaces outdated ones."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final, Protocol

from actors.actor_names import HOST_PREFIX, LEDGER, SUPERVISOR, enricher_name, holds_loops
from actors.ray_runtime.calls import ActorClient
from actors.ray_runtime.deployment import Deployment
from domain.errors import Conflict, FeedbackLoopsError, NotMigrated

log = logging.getLogger(__name__)

START_TIMEOUT_S: Final = 60.0
#: Time for a running loop host to report its deployment.
HOST_TIMEOUT_S: Final = 5.0
#: Pause between two replacements: work that waited for one actor can finish before it has to wait for the next.
SETTLE_S: Final = 1.5
#: Method to call before an actor is ended, for those with unfinished work.
FINISHING: Final = {LEDGER: "stop", SUPERVISOR: "suspend"}
STOP_TIMEOUT_S: Final = 2.0
#: Pause between checks for missing actors, which someone may have killed for good.
CHECK_S: Final = 5.0
#: An actor missing for this long has not been replaced by a newer rollout; start it.
MISSING_S: Final = 2.0


class FleetLauncher(Protocol):
    """Starts and ends actors; each call blocks."""

    def running(self) -> set[str]:
        """Names of all actors, on all nodes and in any state."""
        ...

    def start(self, name: str, *, here: bool = False) -> None:
        """Starts the actor unless one with this name exists; `here`: on this machine, if possible."""
        ...

    def end(self, name: str) -> None:
        """Kills the actor that was last found under the name; one that has replaced it since lives on."""
        ...


class Rollout:
    """Keeps the ledger, the enrichers and the supervisor up to date, which all front ends of a cluster share.

    Several gateways may do so at once: each step concerns one actor, by its identity, and does no harm if repeated.
    """

    def __init__(
        self,
        actors: ActorClient,
        launcher: FleetLauncher,
        deployment: Deployment,
        enrichers: int,
        before_loops: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`before_loops` is awaited once the ledger answers, before the supervisor starts, unless it runs already."""
        self._actors = actors
        self._launcher = launcher
        self._deployment = deployment
        self._before_loops = before_loops
        self._is_done = False
        self._readers = [*map(enricher_name, range(enrichers)), SUPERVISOR]

    @property
    def problem(self) -> str | None:
        """Why no other front end should be restarted yet, or None when all actors are up to date."""
        return None if self._is_done else "the actors are being replaced, one after the other"

    async def set_up(self) -> None:
        """Returns when all of them answer, whatever their deployment.

        Raises:
            Conflict: the actors belong to another installation; a cluster runs one.
            FeedbackLoopsError: an actor does not answer; call this again.
        """
        # The ledger creates the store, which the others read.
        await self._start(LEDGER)
        theirs = await self._deployment_of(LEDGER)
        if theirs.installation != self._deployment.installation:
            raise Conflict(
                f"this Ray runs the actors of installation {theirs.installation}, and this is installation "
                f"{self._deployment.installation}: give another installation a Ray of its own"
            )
        await self._prepare()
        await asyncio.gather(*map(self._start, self._readers))

    async def _prepare(self) -> None:
        """Awaits `before_loops`, unless loops run already, or a ledger that waits for its update is still there."""
        if self._before_loops is None or SUPERVISOR in await asyncio.to_thread(self._launcher.running):
            return
        try:
            await self._before_loops()
        except NotMigrated as exc:
            facts = {"action": "preparation_skipped", "problem": str(exc)}
            log.warning("loops start before the store is migrated", extra=facts)

    async def update(self) -> None:
        """Replaces actors with older settings or an older version; returns when all of them answer.

        The `serve` that was started last decides: actors with the settings of a later one are left alone, and a warning
        is logged. Work goes on meanwhile, and waits about a second for each replaced actor.

        An actor of another version is started on this machine, because others may not have this version yet. The ledger
        comes first: it migrates the store to the schema that all others of this version need.

        Raises:
            FeedbackLoopsError: an actor does not answer; call this again.
        """
        for name in [LEDGER, *self._readers]:
            if differences := await self._outdated(name):
                await self._end(name)
                await self._start(name, here="version" in differences)
                await asyncio.sleep(SETTLE_S)
        # Shared hosts first: once they are up they can hold the loops of the actors that end after them.
        hosts = filter(holds_loops, await asyncio.to_thread(self._launcher.running))
        for name in sorted(hosts, key=lambda name: (not name.startswith(HOST_PREFIX), name)):
            await self._replace_host(name)
        self._is_done = True

    async def _replace_host(self, name: str) -> None:
        """Replaces a loop host. One that does not answer does not block the others: its next start updates it."""
        try:
            if await self._outdated(name, HOST_TIMEOUT_S):
                await self._actors.call(SUPERVISOR, "replace", name, timeout_s=START_TIMEOUT_S)
                self._actors.forget(name)
        except FeedbackLoopsError as exc:
            facts = {"action": "host_not_replaced", "actor": name, "error": str(exc)}
            log.warning("a loop host cannot be replaced now", extra=facts)

    async def keep(self) -> None:
        """Updates all actors, and then starts those again that someone has ended for good, until it is cancelled.

        Ray restarts actors that die, without this.
        """
        while True:
            try:
                if not self._is_done:
                    await self.update()
                    log.info("all actors are up to date", extra={"action": "renewed"})
                for name in await self._missing():
                    log.warning("an actor is missing and is started", extra={"action": "actor_missing", "actor": name})
                    self._actors.forget(name)
                    await self._start(name)
            except FeedbackLoopsError as exc:
                log.warning("an actor cannot be started now", extra={"action": "actor_awaited", "error": str(exc)})
            await asyncio.sleep(CHECK_S)

    async def _missing(self) -> list[str]:
        """The actors that are missing and that no other gateway is replacing."""
        missing = {LEDGER, *self._readers} - await asyncio.to_thread(self._launcher.running)
        if missing:
            await asyncio.sleep(MISSING_S)
            missing -= await asyncio.to_thread(self._launcher.running)
        return sorted(missing)

    async def _start(self, name: str, *, here: bool = False) -> None:
        await asyncio.to_thread(self._launcher.start, name, here=here)
        await self._actors.call(name, "ping", timeout_s=START_TIMEOUT_S)

    async def _deployment_of(self, name: str, timeout_s: float = START_TIMEOUT_S) -> Deployment:
        return Deployment.read(await self._actors.call(name, "deployment", timeout_s=timeout_s))

    async def _outdated(self, name: str, timeout_s: float = START_TIMEOUT_S) -> list[str]:
        """The differences for which an actor has to be replaced; empty if it can stay."""
        theirs = await self._deployment_of(name, timeout_s)
        differences = self._deployment.differences(theirs)
        if not differences:
            return []
        is_outdated = theirs.started_ms <= self._deployment.started_ms
        facts = {"action": "actor_replaced" if is_outdated else "settings_differ", "actor": name}
        facts["differences"] = ",".join(differences)
        if is_outdated:
            log.info("an actor is being replaced", extra=facts)
        else:
            log.warning("a later `serve` uses other settings; restart this one with the same settings", extra=facts)
        return differences if is_outdated else []

    async def _end(self, name: str) -> None:
        """Ends an actor after its unfinished work."""
        if finish := FINISHING.get(name):
            try:
                await self._actors.call(name, finish, timeout_s=STOP_TIMEOUT_S)
            except (FeedbackLoopsError, AttributeError) as exc:  # the latter: another version has no such method
                facts = {"action": "stop_failed", "actor": name, "error": str(exc)}
                log.warning("an actor did not stop in time", extra=facts)
        await asyncio.to_thread(self._launcher.end, name)
        self._actors.forget(name)

"""Application service: dispatches each command of `actors.commands` to its handler."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from actors.application.accounts import AccountService
from actors.application.context import Context
from actors.application.deliveries import DeliveryService
from actors.application.erasures import ErasureService
from actors.application.event_recorder import EventRecorder
from actors.application.events import EventService
from actors.application.front_end_erasures import FrontEndErasureService
from actors.application.installation_keys import InstallationKeyService
from actors.application.loops import LoopClient, LoopService
from actors.application.messages import MessageRegistration
from actors.application.profiles import ProfileService
from actors.application.recipients import RecipientService
from actors.application.reports import ReportService
from actors.application.statistics import StatisticsService
from actors.application.users import Passwords, UserService
from actors.commands.command import Command
from actors.commands.handlers import Handlers, HandlerTable
from actors.commands.metrics import ReadMetrics, Snapshot
from actors.commands.protocol import COMMANDS
from actors.commands.service import (
    CheckReadiness,
    ClaimKey,
    ClusterInventory,
    KeepAnswer,
    ReadClusterInventory,
    Readiness,
    StoredAnswer,
)
from actors.ports import UrlCheck
from domain.errors import FeedbackLoopsError, StoreError


class MetricsSource(Protocol):
    """The metrics and the inventory of all processes behind the front end."""

    async def snapshot(self) -> Snapshot: ...
    async def cluster_inventory(self) -> ClusterInventory: ...


class ApplicationService:
    """Handles every command."""

    handlers = HandlerTable()

    def __init__(
        self,
        context: Context,
        recorder: EventRecorder,
        loops: LoopClient,
        url_check: UrlCheck,
        passwords: Passwords,
        problems: Callable[[], Awaitable[list[FeedbackLoopsError]]],
        metrics: MetricsSource,
        installation_keys: InstallationKeyService,
    ) -> None:
        """A service with handlers for all commands.

        Args:
            context: What all handlers share.
            recorder: Records the events about profiles.
            loops: Access to the processes that run the loops.
            url_check: Check of handlers' URLs.
            passwords: Password hashing.
            problems: Returns why the service cannot carry an event from hit to handler now; empty if it can.
            metrics: The metrics of all processes.
            installation_keys: Handlers of the commands about the installation's keys.

        Raises:
            TypeError: a command has no handler, or several.
        """
        self._ledger = context.ledger
        self._problems = problems
        self._metrics = metrics
        self._handlers = _merged(
            self.handlers.bound_to(self),
            AccountService.handlers.bound_to(AccountService(context)),
            UserService.handlers.bound_to(UserService(context, passwords)),
            LoopService.handlers.bound_to(LoopService(context, loops, url_check)),
            DeliveryService.handlers.bound_to(DeliveryService(context, loops)),
            ErasureService.handlers.bound_to(ErasureService(context)),
            FrontEndErasureService.handlers.bound_to(FrontEndErasureService(context)),
            EventService.handlers.bound_to(EventService(context)),
            StatisticsService.handlers.bound_to(StatisticsService(context)),
            ReportService.handlers.bound_to(ReportService(context)),
            RecipientService.handlers.bound_to(RecipientService(context)),
            MessageRegistration.handlers.bound_to(MessageRegistration(context)),
            ProfileService.handlers.bound_to(ProfileService(context, recorder)),
            InstallationKeyService.handlers.bound_to(installation_keys),
        )

    async def handle(self, command: Command[Any]) -> Any:
        """Executes the command and returns its answer. Raises errors of `domain.errors`."""
        return await self._handlers[type(command)](command)

    @handlers.add(ClaimKey)
    async def claim_key(self, command: ClaimKey) -> StoredAnswer | None:
        return await self._ledger.claim_key(command)

    @handlers.add(KeepAnswer)
    async def keep_answer(self, command: KeepAnswer) -> None:
        await self._ledger.keep_answer(command)

    @handlers.add(CheckReadiness)
    async def check_readiness(self, _command: CheckReadiness) -> Readiness:
        problems = await self._problems()
        of_store = [position for position, problem in enumerate(problems) if isinstance(problem, StoreError)]
        return Readiness(problems=list(map(str, problems)), of_store=of_store)

    @handlers.add(ReadMetrics)
    async def read_metrics(self, _command: ReadMetrics) -> Snapshot:
        return await self._metrics.snapshot()

    @handlers.add(ReadClusterInventory)
    async def read_cluster_inventory(self, _command: ReadClusterInventory) -> ClusterInventory:
        return await self._metrics.cluster_inventory()


def _merged(*parts: Handlers) -> Handlers:
    counts = Counter(command for part in parts for command in part)
    if wrong := sorted(each.__name__ for each in {*COMMANDS.values(), *counts} if counts[each] != 1):
        raise TypeError(f"commands without exactly one handler: {', '.join(wrong)}")
    return {command: handler for part in parts for command, handler in part.items()}

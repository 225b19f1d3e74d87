"""ASGI application of the front end: tracking URLs, the dashboard and the configuration API."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response as StarletteResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from actors.metrics.registry import Registry
from actors.settings.data_dir_watch import UNWATCHED, DataDirWatch
from actors.version import VERSION
from api.announcement import announce
from api.app_ports import (
    ConnectedClient,
    FollowedKeys,
    FrontEndSettings,
    HitForwarder,
    OpenJournal,
    TrackingPaths,
    Watch,
)
from api.dashboard.asgi import Dashboard
from api.first_run import FirstRun
from api.http.authentication import Authenticator
from api.http.client_address import ClientAddresses
from api.http.endpoint import Endpoint
from api.http.idempotency import IdempotencyKeys
from api.http.key_list import KeyList
from api.http.operation import Operation, Services, wall_ms
from api.http.problem_types import INTERNAL, NOT_FOUND
from api.http.problems import Problem, problem_of
from api.http.response import Response
from api.observability.prometheus import PrometheusExporter
from api.observability.readiness import ReadinessProbe
from api.reports.intake import ReportIntake
from api.routes import OPERATIONS
from api.routes.openapi import with_documents
from api.tracking.urls import TrackingUrls
from domain.return_path import ReturnPathTokens, return_path_keys
from domain.tokens import TrackingTokens

log = logging.getLogger(__name__)

#: Seconds at shutdown to write the hits in memory, and then to forward hits to the ledger; what is in the journal then
#: stays there until the next start.
DRAIN_S: Final = 3.0
FLUSH_S: Final = 2.5
#: Seconds for what is left to write after that.
CLOSE_S: Final = 1.0


def create_app(
    settings: FrontEndSettings,
    client: ConnectedClient,
    tokens: TrackingTokens,
    tracking: TrackingPaths,
    journal: OpenJournal,
    forwarder: HitForwarder,
    registry: Registry | None = None,
    watch: DataDirWatch = UNWATCHED,
    *,
    installation_keys: FollowedKeys,
    watches: Sequence[Watch] = (),
    instance: str | None = None,
) -> ASGIApp:
    """Creates the front end.

    `registry` has the metrics of this process, for `/metrics`; `watch` is of `data_dir`; `watches` run with it;
    `instance` is the name of this run of the service.

    The application's lifespan starts the forwarder. At shutdown, it writes the hits in memory, stops the forwarder,
    then closes the client and the journal, so that no hit is lost.
    """

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(journal.close, CLOSE_S)
            stack.push_async_callback(client.close)
            watch.start()
            stack.push_async_callback(watch.stop)
            stack.callback(_report_what_is_lost, watch, journal)
            await forwarder.start()
            stack.push_async_callback(_write_and_forward, journal, forwarder)
            for each in watches:
                each.start()
                stack.push_async_callback(each.stop)
            keys.start()
            stack.push_async_callback(keys.stop)
            announcing = asyncio.create_task(
                announce(services.readiness, services.first_run, settings.public_url), name="announce"
            )
            stack.callback(announcing.cancel)
            yield

    keys = KeyList(client, settings.data_dir, watch=watch)
    readiness = ReadinessProbe(
        client, journal, settings.public_url, watch=watch, has_keys=lambda: bool(installation_keys().keys)
    )
    return_path = _return_path(settings, installation_keys)
    services = Services(
        client=client,
        urls=TrackingUrls(settings.public_url, tokens, return_path, settings.public_url_problem),
        readiness=readiness,
        first_run=FirstRun(client, installation_keys, settings.data_dir, watch),
        metrics=PrometheusExporter(client, registry or Registry()),
        reports=ReportIntake(journal, wall_ms, settings.keep_ip, watch),
        ledger_watch=watch if settings.store is None else UNWATCHED,
        instance=instance,
    )
    dashboard = Dashboard(services, ClientAddresses(settings.trusted_proxies), settings.public_url)
    authenticator = Authenticator(client, str(settings.admin_key), keys)
    idempotency_keys = IdempotencyKeys(client, installation_keys)
    api = Starlette(
        routes=[
            Route(path, Endpoint(by_method, services, authenticator, idempotency_keys))
            for path, by_method in _by_path(_operations()).items()
        ],
        exception_handlers={HTTPException: _http_problem, Exception: _unexpected},
        lifespan=lifespan,
    )
    # A redirect to the path without its trailing slash would lose the body and hide the mistake.
    api.router.redirect_slashes = False
    return FrontEnd(api, tracking, dashboard)


async def _write_and_forward(journal: OpenJournal, forwarder: HitForwarder) -> None:
    """Writes what is in memory before anything else: the ledger may be away for as long as we have."""
    loop = asyncio.get_running_loop()
    ends_s = loop.time() + DRAIN_S
    await journal.flush(FLUSH_S)
    await forwarder.stop(max(0.0, ends_s - loop.time()))


def _report_what_is_lost(watch: DataDirWatch, journal: OpenJournal) -> None:
    """Logs at a stop what ends with the journal's open file, if that is no longer in the data directory."""
    if problem := watch.check():
        log.critical(
            "the journal ends with this process, and with it what is not in the ledger",
            extra={"action": "journal_lost", "entries": journal.depth, "problem": problem},
        )


def _return_path(settings: FrontEndSettings, keys: FollowedKeys) -> Callable[[int, int], str] | None:
    if settings.return_domain is None:
        return None
    tokens = ReturnPathTokens.of_installation(keys())
    keys.follow(lambda changed: tokens.use(return_path_keys(changed)))
    return functools.partial(tokens.address, domain=settings.return_domain)


@functools.cache
def _operations() -> tuple[Operation, ...]:
    """All operations. The documents that describe them take long to make, and are the same for each application."""
    return with_documents(OPERATIONS, VERSION)


class FrontEnd:
    """Routes requests to the tracking application, the dashboard or the API by their path."""

    def __init__(self, api: Starlette, tracking: TrackingPaths, dashboard: Dashboard) -> None:
        self.api = api
        self._tracking = tracking
        self._dashboard = dashboard

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            if self._tracking.handles(scope["path"]):
                await self._tracking(scope, receive, send)
                return
            # Route by the encoded path: an id may contain %2F, a `/`. Endpoints decode their path parameters.
            raw_path = scope.get("raw_path") or quote(scope["path"]).encode()
            scope = {**scope, "path": raw_path.decode("latin-1")}
            if self._dashboard.handles(scope["path"]):
                await self._dashboard(scope, receive, send)
                return
        await self.api(scope, receive, send)


def _by_path(operations: Sequence[Operation]) -> dict[str, dict[str, Operation]]:
    found: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        found.setdefault(operation.path, {})[operation.method] = operation
    return found


async def _http_problem(request: Request, error: Exception) -> StarletteResponse:
    """The response to a request that the router rejects, usually because its path does not exist."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == NOT_FOUND.status:
        detail = f"nothing is at {request.url.path[:200]}; see /docs"
        return _starlette(Problem(kind=NOT_FOUND, detail=detail).response())
    return _starlette(Problem(kind=INTERNAL, detail=f"the router answered {status}").response())


async def _unexpected(_request: Request, error: Exception) -> StarletteResponse:
    return _starlette(problem_of(error).response())


def _starlette(response: Response) -> StarletteResponse:
    return StarletteResponse(response.body, response.status, dict(response.headers), response.content_type)

"""ASGI application of the front end: tracking URLs, the dashboard and the configuration API."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response as StarletteResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from actors.gateway.client import Client
from actors.metrics.registry import Registry
from actors.version import VERSION
from api.dashboard.asgi import Dashboard
from api.first_run import FirstRun
from api.http.authentication import Authenticator
from api.http.client_address import ClientAddresses
from api.http.endpoint import Endpoint
from api.http.idempotency import IdempotencyKeys
from api.http.operation import Operation, Services
from api.http.problems import INTERNAL, NOT_FOUND, Problem, problem_of
from api.http.response import Response
from api.observability.prometheus import PrometheusExporter
from api.observability.readiness import JournalHealth, ReadinessProbe
from api.routes import OPERATIONS
from api.routes.openapi import with_documents
from api.tracking.urls import TrackingUrls
from domain.tokens import TrackingTokens

#: Seconds to forward hits to the ledger at shutdown; the rest stays in the journal until the next start.
DRAIN_S: Final = 3.0


class FrontEndSettings(Protocol):
    """The settings that the front end needs; implemented by `actors.settings.settings.Settings`."""

    @property
    def public_url(self) -> str:
        """Base of all tracking URLs."""
        ...

    @property
    def admin_key(self) -> object:
        """The bearer key of /v1/accounts: an object whose `str()` is the key."""
        ...

    @property
    def master_key(self) -> bytes: ...

    @property
    def data_dir(self) -> Path | None:
        """The directory for the file with the first run's token; if None, no file is written."""
        ...

    @property
    def trusted_proxies(self) -> Sequence[IPv4Network | IPv6Network]: ...


class ConnectedClient(Client, Protocol):
    """A client with a connection to close."""

    async def close(self) -> None: ...


class OpenJournal(JournalHealth, Protocol):
    """An open edge journal."""

    async def close(self) -> None: ...


class HitForwarder(Protocol):
    """Background task that sends the journal's hits to the ledger."""

    async def start(self) -> None: ...

    async def stop(self, drain_s: float) -> None: ...


class TrackingPaths(Protocol):
    """The ASGI application of tracking URLs."""

    def handles(self, path: str) -> bool:
        """Whether the application answers requests for this path."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


def create_app(
    settings: FrontEndSettings,
    client: ConnectedClient,
    tokens: TrackingTokens,
    tracking: TrackingPaths,
    journal: OpenJournal,
    forwarder: HitForwarder,
    registry: Registry | None = None,
) -> ASGIApp:
    """Creates the front end. `registry` has the metrics of this process, for `/metrics`.

    The application's lifespan starts the forwarder. At shutdown, it stops the forwarder first, then closes the client
    and the journal, so that no hit is lost.
    """

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(journal.close)
            stack.push_async_callback(client.close)
            await forwarder.start()
            stack.push_async_callback(forwarder.stop, DRAIN_S)
            announcing = asyncio.create_task(_announce(services, settings.public_url), name="announce")
            stack.callback(announcing.cancel)
            yield

    readiness = ReadinessProbe(client, journal, settings.public_url)
    services = Services(
        client=client,
        urls=TrackingUrls(settings.public_url, tokens),
        readiness=readiness,
        first_run=FirstRun(client, settings.master_key, settings.data_dir),
        metrics=PrometheusExporter(client, registry or Registry()),
    )
    dashboard = Dashboard(services, ClientAddresses(settings.trusted_proxies), settings.public_url)
    authenticator = Authenticator(client, str(settings.admin_key))
    idempotency_keys = IdempotencyKeys(client, settings.master_key)
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


async def _announce(services: Services, url: str) -> None:
    """Logs when the service is ready and, if no user exists yet, how to create the first one."""
    await services.readiness.announce()
    await services.first_run.announce(url)


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

"""Declarations of API operations, read by the router and by the OpenAPI document."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Generic, TypeVar

from pydantic import BaseModel
from starlette.datastructures import Headers

from actors.commands.accounts import Account
from actors.commands.command import Command, Page
from actors.gateway.client import Client
from actors.settings.data_dir_watch import UNWATCHED, DataDirWatch
from api.events.sse import StreamLimiter
from api.first_run import FirstRun
from api.http.body import MAX_JSON_TOKENS, SMALL_BODY_BYTES, check_json_tokens
from api.http.problem_types import ProblemType
from api.http.response import JSON, Response
from api.http.strict_json import read_json
from api.http.validation import validate
from api.observability.prometheus import PrometheusExporter
from api.observability.readiness import ReadinessProbe
from api.reports.intake import ReportIntake
from api.schemas.base import EmptyBody, NoQuery, QueryModel, RequestModel
from api.tracking.urls import TrackingUrls

T = TypeVar("T")
BodyT = TypeVar("BodyT")
QueryT = TypeVar("QueryT", bound=QueryModel)
ModelT = TypeVar("ModelT", bound=RequestModel)


def wall_ms() -> int:
    """The time of day, as Unix milliseconds."""
    return time.time_ns() // 1_000_000


class Access(Enum):
    """The kind of key that an operation requires."""

    ANYBODY = "anybody"
    ACCOUNT = "account"
    ADMIN = "admin"
    #: An account's, or the admin key for all accounts.
    EITHER = "either"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Dependencies of the handlers."""

    client: Client
    urls: TrackingUrls
    readiness: ReadinessProbe
    first_run: FirstRun
    metrics: PrometheusExporter
    reports: ReportIntake
    #: Name of this run of the service.
    instance: str | None = None
    #: The data directory that holds the ledger, if it does: nothing is changed while it is lost.
    ledger_watch: DataDirWatch = UNWATCHED
    streams: StreamLimiter = field(default_factory=StreamLimiter)
    #: Unix time, milliseconds.
    now_ms: Callable[[], int] = wall_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiRequest(Generic[BodyT, QueryT]):
    """A validated request."""

    services: Services
    account: Account
    #: Path parameters, decoded.
    path: dict[str, str]
    query: QueryT
    body: BodyT
    headers: Headers
    #: Whether the admin key was sent.
    is_operator: bool = False
    #: With an Idempotency-Key: a text unique to this request. Ids are derived from it, so that a repetition after a
    #: crash creates nothing twice.
    seed: str | None = None

    async def call(self, command: Command[T]) -> T:
        """Calls the actors with a command and returns its result."""
        return await self.services.client.call(command)


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyType:
    """A media type that an operation accepts; `read` raises `ProblemError` or `InvalidInput`."""

    media_type: str
    model: type[RequestModel] | None
    read: Callable[[bytes], Any]
    max_bytes: int = SMALL_BODY_BYTES
    #: One `model` per line.
    is_lines: bool = False
    #: The JSON schema and an example, if they are not those of the model.
    schema: dict[str, Any] | None = None
    example: Any = None
    #: What to send, for a caller who sends something else. Such a body is bytes; any other is text in UTF-8.
    raw: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseSpec:
    """A successful response of an operation."""

    status: int = 200
    description: str
    model: type[BaseModel] | None = None
    media_type: str = JSON
    is_lines: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A request header that an operation uses."""

    name: str
    description: str
    pattern: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method at a path. `problems` lists those that do not follow from the other attributes."""

    id: str
    method: str = "GET"
    path: str
    tag: str
    summary: str
    description: str = ""
    access: Access = Access.ACCOUNT
    #: The declaration fixes its type parameters.
    handler: Callable[[Any], Awaitable[Response]]
    bodies: tuple[BodyType, ...] = ()
    query: type[QueryModel] = NoQuery
    headers: tuple[Header, ...] = ()
    responses: tuple[ResponseSpec, ...]
    problems: tuple[ProblemType, ...] = ()
    problem_model: tuple[int, type[BaseModel]] | None = None
    #: Whether it works without the ledger. Repeats are then recognised by their content, not by an Idempotency-Key.
    needs_only_the_journal: bool = False

    @property
    def has_idempotency(self) -> bool:
        """Whether it accepts an Idempotency-Key."""
        return self.method == "POST" and self.access is not Access.ANYBODY and not self.needs_only_the_journal


def forward(
    command_for: Callable[[ApiRequest[Any, Any]], Command[T]], view: Callable[[T], BaseModel] | None = None
) -> Callable[[ApiRequest[Any, Any]], Awaitable[Response]]:
    """A handler that calls one command and responds with the view of its result; without a view, with 204."""

    async def handle(request: ApiRequest[Any, Any]) -> Response:
        result = await request.call(command_for(request))
        return Response(status=204) if view is None else Response.of(view(result))

    return handle


def page_view(model: type[BaseModel], view: Callable[[T], BaseModel]) -> Callable[[Page[T]], BaseModel]:
    """The view of a page: a list `model` with the view of each item."""
    return lambda page: model.model_validate({"data": [view(item) for item in page.data], "next": page.next})


def json_body(
    model: type[ModelT],
    media_type: str = JSON,
    *,
    max_bytes: int = SMALL_BODY_BYTES,
    max_tokens: int = MAX_JSON_TOKENS,
) -> BodyType:
    """A body that is one JSON value of the model; `max_tokens` as in `check_json_tokens`."""

    def read(body: bytes) -> ModelT:
        check_json_tokens(body, max_tokens)
        return validate(model, read_json(body))

    return BodyType(media_type=media_type, model=model, read=read, max_bytes=max_bytes)


def _nothing(body: bytes) -> EmptyBody:
    check_json_tokens(body)
    return validate(EmptyBody, read_json(body) if body.strip() else {})


#: The body of a POST that needs none: empty, or an empty object.
NO_BODY = BodyType(media_type=JSON, model=EmptyBody, read=_nothing)

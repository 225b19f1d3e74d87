"""What the API can do, declared: each operation once, for the router and for the OpenAPI document alike."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, Protocol, TypeVar

from pydantic import BaseModel

from actors.client import Client
from actors.commands import Account
from api.checked_input import checked
from api.json_text import read_json
from api.problems import Kind
from api.reply import JSON, Reply
from api.schemas.base import EmptyBody, NoQuery, QueryModel, RequestModel
from api.tracking_urls import TrackingUrls

BodyT = TypeVar("BodyT")
QueryT = TypeVar("QueryT", bound=QueryModel)
ModelT = TypeVar("ModelT", bound=RequestModel)


class Access(Enum):
    """Whose key an operation needs."""

    ANYBODY = "anybody"
    ACCOUNT = "account"
    ADMIN = "admin"


class JournalHealth(Protocol):
    """What readiness asks of the edge journal."""

    @property
    def problem(self) -> str | None:
        """Why it is not well, in one sentence, or None."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What handlers work with."""

    client: Client
    urls: TrackingUrls
    journal: JournalHealth


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(Generic[BodyT, QueryT]):
    """One request whose every part was checked."""

    services: Services
    account: Account
    #: Path parameters, decoded.
    path: dict[str, str]
    query: QueryT
    body: BodyT
    #: With an Idempotency-Key: a text that the same request alone has, from which ids are made that come out the same
    #: when it is repeated; so a request that died half-way does nothing twice.
    seed: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyType:
    """A media type that an operation takes, and how it is read (raises `Refused` or `InvalidInput`)."""

    media_type: str
    model: type[RequestModel]
    read: Callable[[bytes], Any]
    #: One `model` per line.
    is_lines: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One way an operation answers when all goes well."""

    status: int = 200
    description: str
    model: type[BaseModel] | None = None
    media_type: str = JSON
    is_lines: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A method at a path. `problems` are those beside the ones that follow from its other attributes."""

    id: str
    method: str
    path: str
    tag: str
    summary: str
    description: str = ""
    access: Access = Access.ACCOUNT
    #: Generic in what it reads, which the operation's own declaration fixes.
    handler: Callable[[Any], Awaitable[Reply]]
    bodies: tuple[BodyType, ...] = ()
    query: type[QueryModel] = NoQuery
    answers: tuple[Answer, ...]
    problems: tuple[Kind, ...] = ()
    problem_model: tuple[int, type[BaseModel]] | None = None

    @property
    def has_idempotency(self) -> bool:
        """Whether it honours an Idempotency-Key."""
        return self.method == "POST" and self.access is not Access.ANYBODY


def json_body(model: type[ModelT], media_type: str = JSON) -> BodyType:
    """A body that is one JSON value of the model."""
    return BodyType(media_type=media_type, model=model, read=lambda body: checked(model, read_json(body)))


#: Of a POST that needs no body: none, or an empty object.
NO_BODY = BodyType(
    media_type=JSON, model=EmptyBody, read=lambda body: checked(EmptyBody, read_json(body) if body.strip() else {})
)

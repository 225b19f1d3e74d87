"""Accounts, problems and health on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from api.schemas.base import ABSENT, NAME_PATTERN, AnswerModel, RequestModel, rule
from domain.validation import MAX_NAME_CHARS, text_problem


class NewAccount(RequestModel):
    """A tenant to open."""

    name: Annotated[str, rule(text_problem)] = Field(
        min_length=1,
        max_length=MAX_NAME_CHARS,
        examples=["Example"],
        json_schema_extra={"pattern": NAME_PATTERN},
    )


class Account(AnswerModel):
    """A tenant and its API key."""

    id: str
    name: str
    api_key: str = Field(description="Shown this once only; keep it.", examples=["flk_…"])


class FieldProblem(AnswerModel):
    """What is wrong with one field."""

    pointer: str = Field(description="JSON pointer (RFC 6901) into the body; of a query parameter `/name`.")
    detail: str


class Problem(AnswerModel):
    """RFC 9457. What was wrong, and what to do."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="A reference that never changes; it leads to an explanation.")
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = Field(default=ABSENT, description="Of invalid input: every field that is wrong.")


class LocationTried(AnswerModel):
    """What was found where the proof was looked for."""

    location: str
    matched: bool
    found: str


class VerificationProblem(Problem):
    """The proof was found nowhere: one entry for each location tried."""

    locations: list[LocationTried] = Field(default=ABSENT)


class ReadinessProblem(Problem):
    """Why the service is not ready."""

    problems: list[str]


class Health(AnswerModel):
    """The process answers."""

    status: Literal["ok"]


class Ready(AnswerModel):
    """The service can carry an event from hit to handler."""

    status: Literal["ready"]

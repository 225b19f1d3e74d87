"""API models of problems and health."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from api.schemas.base import ABSENT, AnswerModel


class FieldProblem(AnswerModel):
    """A problem of one field."""

    pointer: str = Field(description="JSON pointer (RFC 6901) into the body; `/name` for a query parameter.")
    detail: str


class Problem(AnswerModel):
    """A problem (RFC 9457): what is wrong, and what to do."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(description="A stable reference to an explanation.")
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = Field(default=ABSENT, description="For invalid input: every field with a problem.")


class LocationTried(AnswerModel):
    """The result of the search for the proof at one location."""

    location: str
    matched: bool
    found: str


class VerificationProblem(Problem):
    """The proof was not found: one entry for each location tried."""

    locations: list[LocationTried] = Field(default=ABSENT)


class ReadinessProblem(Problem):
    """The reasons why the service is not ready."""

    problems: list[str]


class Health(AnswerModel):
    """The process is alive."""

    status: Literal["ok"]


class Ready(AnswerModel):
    """The service can deliver events from hits to handlers."""

    status: Literal["ready"]

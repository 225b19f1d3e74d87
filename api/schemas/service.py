"""API models of problems and health."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import ConfigDict, Field

from api.schemas.base import ABSENT, AnswerModel, QueryModel


class ReadinessQuery(QueryModel):
    """The purpose that the service must be ready for."""

    for_: Literal["tracking"] | None = Field(
        default=None,
        alias="for",
        description="`tracking`: only for answering hits. This front end has its keys and an open journal, whatever "
        "else is missing. Without it, for everything.",
    )


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


class AnsweredLine(AnswerModel):
    """The answer to one line of NDJSON."""

    line: int = Field(ge=1, description="The number of the line in the request, from 1.")
    id: str = Field(default=ABSENT, description="Its id; with a problem, the id in the line, if it has one.")
    status: int = Field(default=ABSENT, description="Only with a problem, like its other members.")
    type: str = ABSENT
    title: str = ABSENT
    detail: str = ABSENT
    errors: list[FieldProblem] = ABSENT


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
    #: A random name of this run of the service.
    instance: str | None = None

    @classmethod
    def of(cls, instance: str | None) -> Self:
        """The process is alive, under this name if it has one."""
        return cls(status="ok") if instance is None else cls(status="ok", instance=instance)


class Ready(AnswerModel):
    """The service can deliver events from hits to handlers."""

    status: Literal["ready"]

"""API models of front ends."""

from __future__ import annotations

from pydantic import Field

from api.schemas.base import AnswerModel, Time


class FrontEndState(AnswerModel):
    """A front end, and the erasures that wait for it."""

    id: str
    name: str = Field(description="Its host.")
    confirmed_at: Time = Field(
        description="When it last confirmed to have the installation's keys; at least once an hour while it runs."
    )
    erasures: int = Field(description="Running erasures of people that wait for it.")
    problem: str | None = Field(description="What holds it up, if that is known.")


class FrontEnds(AnswerModel):
    """Every known front end."""

    data: list[FrontEndState]

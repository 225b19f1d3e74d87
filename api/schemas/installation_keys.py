"""API models of the installation's keys."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from api.schemas.base import AnswerModel, Time


class InstallationKey(AnswerModel):
    """A key of the installation. The key itself is never shown."""

    id: int
    state: Literal["signs", "waits", "reads"] = Field(
        description="`signs`: new links and secrets use it. `waits`: it signs once every front end has it. `reads`: "
        "links and secrets that were made with it are still valid."
    )
    created_at: Time
    signs_since: Time | None
    signed_until: Time | None


class FrontEnd(AnswerModel):
    """A front end, and what it has confirmed to have on its disk."""

    id: str
    name: str = Field(description="Its host.")
    generation: int
    master_key: str = Field(description="Fingerprint of the master key that it uses.")
    confirmed_at: Time
    is_awaited: bool = Field(description="Whether a rotation waits for it.")


class InstallationKeys(AnswerModel):
    """The installation's keys, and who has them."""

    installation: str = Field(description="The installation's fingerprint, which no rotation changes.")
    created_at: Time
    generation: int = Field(description="Increases with each change.")
    master_key: str = Field(description="Fingerprint of the master key that wraps the keys.")
    next_master_key: str | None = Field(
        description="Fingerprint of the master key that replaces it as soon as every front end uses it."
    )
    loops_to_follow: int = Field(description="Feedback loops whose secret still derives from another key.")
    keys: list[InstallationKey]
    front_ends: list[FrontEnd]


class InstallationKeyUse(AnswerModel):
    """Everything that ends when a key is dropped."""

    messages: int = Field(description="Messages that were registered while it signed: all of their links end.")
    passwords: int = Field(description="Users who have to get a new password.")
    secrets: int = Field(description="Feedback loops whose current secret derives from it.")
    headers: int = Field(description="Feedback loops with headers that are sealed with it.")

"""API models of API keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.schemas.base import NAME_PATTERN, AnswerModel, Next, RequestModel, Time, rule
from domain.validation import MAX_NAME_CHARS, text_problem


class NewApiKey(RequestModel):
    """A key to create."""

    name: Annotated[str, rule(text_problem)] = Field(
        min_length=1,
        max_length=MAX_NAME_CHARS,
        description="Where the key is used, so that you recognise it when you want to revoke it.",
        examples=["Shop"],
        json_schema_extra={"pattern": NAME_PATTERN},
    )


class ApiKey(AnswerModel):
    """An API key; the key itself is not stored."""

    id: str = Field(examples=["key_…"])
    name: str = Field(description="Empty for the account's first key.")
    created_at: Time
    last_used_at: Time | None = Field(description="Precise to the minute; null if the key was never used.")


class NewApiKeyWithSecret(ApiKey):
    """A key that was just created."""

    api_key: str = Field(description="Shown only once; store it safely.", examples=["flk_…"])


class ApiKeyList(AnswerModel):
    """The account's keys, newest first, without revoked ones."""

    data: list[ApiKey]
    next: Next

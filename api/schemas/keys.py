"""API keys on the wire."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.schemas.base import NAME_PATTERN, AnswerModel, Next, RequestModel, Time, rule
from domain.validation import MAX_NAME_CHARS, text_problem


class NewApiKey(RequestModel):
    """A key to make."""

    name: Annotated[str, rule(text_problem)] = Field(
        min_length=1,
        max_length=MAX_NAME_CHARS,
        description="Where it is used: what to look for when it is to be revoked.",
        examples=["Shop"],
        json_schema_extra={"pattern": NAME_PATTERN},
    )


class ApiKey(AnswerModel):
    """What is known of a key; the key itself is not kept."""

    id: str = Field(examples=["key_…"])
    name: str = Field(description="Empty for the key that the account was opened with.")
    created_at: Time
    last_used_at: Time | None = Field(description="To the minute; null while it was never used.")


class NewApiKeyWithSecret(ApiKey):
    """A key that was just made."""

    api_key: str = Field(description="Shown this once only; keep it.", examples=["flk_…"])


class ApiKeyList(AnswerModel):
    """The account's keys, newest first; revoked ones are not there any more."""

    data: list[ApiKey]
    next: Next

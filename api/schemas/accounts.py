"""API models of accounts, their API keys, and the dashboard's users."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from api.schemas.base import ABSENT, NAME_PATTERN, AnswerModel, Next, RequestModel, Time, rule
from domain.validation import MAX_NAME_CHARS, text_problem


class NewAccount(RequestModel):
    """A tenant to create."""

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
    api_key: str = Field(description="Shown only once; store it safely.", examples=["flk_…"])


class ListedAccount(AnswerModel):
    """A tenant."""

    id: str
    name: str


class AccountList(AnswerModel):
    """Accounts, oldest first."""

    data: list[ListedAccount]
    next: Next


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


class NewUser(RequestModel):
    """A user to create, in an existing account or a new one."""

    email: str = Field(
        min_length=3, max_length=320, examples=["ann@example.com"], json_schema_extra={"format": "email"}
    )
    account: str = Field(
        default=ABSENT, description="The account's id; without it, a new account is created.", examples=["acc_0190…"]
    )
    account_name: str = Field(
        default=ABSENT, min_length=1, max_length=MAX_NAME_CHARS, description="The name of a new account."
    )


class User(AnswerModel):
    """A person who can sign in to the dashboard."""

    id: str
    email: str
    account: str = Field(description="The account's id.")
    account_name: str
    joined_at: Time


class UserWithPassword(User):
    """A user with a new password."""

    password: str = Field(description="Shown only once; the user can change it in the dashboard.")


class UserList(AnswerModel):
    """All users, sorted by e-mail address."""

    data: list[User]
    next: Next

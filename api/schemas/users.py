"""API models of the dashboard's users."""

from __future__ import annotations

from pydantic import Field

from api.schemas.base import ABSENT, AnswerModel, Next, RequestModel, Time
from domain.validation import MAX_NAME_CHARS


class NewUser(RequestModel):
    """A user to create, of an existing account or a new one."""

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

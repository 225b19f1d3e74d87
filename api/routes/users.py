"""Users of the dashboard, managed with the admin key."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from actors.commands import users as user_commands
from actors.commands.users import CreateUser, ListUsers, RemoveUser, SetPassword
from api.http.operation import Access, ApiRequest, Operation, ResponseSpec, forward, json_body
from api.http.problem_types import CONFLICT, NOT_FOUND
from api.http.response import Response
from api.http.validation import invalid_input
from api.schemas.accounts import NewUser, User, UserList, UserWithPassword
from api.schemas.base import EmptyBody, NoQuery, time_text
from domain.errors import NotFound

COLLECTION: Final = "/v1/users"
ITEM: Final = f"{COLLECTION}/{{id}}"
operation: Final = partial(Operation, tag="Users", access=Access.ADMIN)


def _new_password() -> str:
    # Never chosen by the caller: what is sent here is kept for repeated requests, as a hash that is quick to make.
    return secrets.token_urlsafe(15)


def _facts(user: user_commands.User) -> dict[str, Any]:
    return {
        "id": user.id,
        "email": user.email,
        "account": user.account.id,
        "account_name": user.account.name,
        "joined_at": time_text(user.joined_at_ms),
    }


async def create_user(request: ApiRequest[NewUser, NoQuery]) -> Response:
    """Creates a user. The password is shown only once."""
    body = request.body
    if (body.account is None) == (body.account_name is None):
        raise invalid_input([("/account", "is required, or `account_name` for a new account; not both")])
    password = _new_password()
    command = CreateUser(
        email=body.email, password=password, account_id=body.account, account_name=body.account_name or ""
    )
    user = await request.call(command)
    return Response.of(UserWithPassword(**_facts(user), password=password), 201)


def _user_list(users: Iterable[user_commands.User]) -> UserList:
    return UserList(data=[User(**_facts(user)) for user in users], next=None)


async def reset_password(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """Sets a new password, which is shown only once, and ends all sessions."""
    users = await request.call(ListUsers())
    found = next((user for user in users if user.id == request.path["id"]), None)
    if found is None:
        raise NotFound(f"there is no user {request.path['id']}")
    password = _new_password()
    await request.call(SetPassword(user_id=found.id, password=password))
    return Response.of(UserWithPassword(**_facts(found), password=password))


OPERATIONS: Final = (
    operation(
        id="createUser",
        method="POST",
        path=COLLECTION,
        summary="Create a user of the dashboard",
        description="The response contains the user's password, which is shown only once.",
        handler=create_user,
        bodies=(json_body(NewUser),),
        responses=(ResponseSpec(status=201, description="The user and the password.", model=UserWithPassword),),
        problems=(NOT_FOUND, CONFLICT),
    ),
    operation(
        id="listUsers",
        path=COLLECTION,
        summary="List the users of the dashboard",
        handler=forward(lambda _: ListUsers(), _user_list),
        responses=(ResponseSpec(description="All users.", model=UserList),),
    ),
    operation(
        id="resetPassword",
        method="POST",
        path=f"{ITEM}/password",
        summary="Set a new password",
        description="All sessions of the user end. The password is shown only once.",
        handler=reset_password,
        responses=(ResponseSpec(description="The user and the new password.", model=UserWithPassword),),
        problems=(NOT_FOUND,),
    ),
    operation(
        id="removeUser",
        method="DELETE",
        path=ITEM,
        summary="Remove a user",
        description="All sessions of the user end. An account's last user cannot be removed.",
        handler=forward(lambda r: RemoveUser(user_id=r.path["id"])),
        responses=(ResponseSpec(status=204, description="The user is removed."),),
        problems=(NOT_FOUND, CONFLICT),
    ),
)

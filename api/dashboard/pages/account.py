"""Account page: users, API keys, and the user's own password."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, TypeVar

from actors.commands.accounts import ApiKey, IssueApiKey, ListApiKeys, RevokeApiKey
from actors.commands.users import ChangePassword, CreateUser, ListUsers, RemoveUser, User
from api.dashboard.forms import beside_fields
from api.dashboard.request import ROOT, Page, Visit, see_other
from api.http.authentication import key_hash, new_api_key
from api.http.response import Response
from domain.errors import Conflict, InvalidInput, NotFound

HERE: Final = f"{ROOT}/account"
_USER_LABELS: Final = {"email": "E-mail address", "password": "Initial password"}

T = TypeVar("T", ApiKey, User)


async def _page(visit: Visit, status: int = 200, **found: Any) -> Response:
    shown: dict[str, Any] = {"problems": {}, "problem": "", "new_key": "", "email": "", **found}
    users = await visit.call(ListUsers(account=visit.account))
    keys = await visit.call(ListApiKeys(account=visit.account))
    return visit.html("account.html", status, users=users, keys=keys, done=visit.query.text("done"), **shown)


async def account_page(visit: Visit) -> Response:
    """The whole page."""
    return await _page(visit)


async def new_key(visit: Visit) -> Response:
    """Creates an API key and shows it, once."""
    api_key = new_api_key()
    name = visit.form.text("name")
    try:
        await visit.call(IssueApiKey(account=visit.account, name=name, key_hash=key_hash(api_key)))
    except InvalidInput as exc:
        return await _page(visit, 422, problems=beside_fields(exc, {"name": "Name"})[0])
    return await _page(visit, new_key=api_key)


def _one_of(found: Iterable[T], what: str, id_: str) -> T:
    one = next((one for one in found if one.id == id_), None)
    if one is None:
        raise NotFound(f"there is no {what} {id_} in this account")
    return one


async def revoke_key_page(visit: Visit) -> Response:
    """Asks for confirmation to revoke the key."""
    keys = await visit.call(ListApiKeys(account=visit.account))
    key = _one_of(keys, "API key", visit.path["id"])
    consequence = "Programs that use it are refused within seconds. This cannot be undone."
    what = f"{key.name or '(no name)'}, {key.id}"
    return visit.html("confirm.html", title="Revoke an API key", what=what, consequence=consequence, button="Revoke")


async def revoke_key(visit: Visit) -> Response:
    """Revokes an API key."""
    await visit.call(RevokeApiKey(account=visit.account, key_id=visit.path["id"]))
    return see_other(f"{HERE}?done=key-revoked")


async def add_user(visit: Visit) -> Response:
    """Adds a user to the account."""
    email, password = visit.form.text("email"), visit.form.raw("password")
    try:
        await visit.call(CreateUser(email=email, password=password, account_id=visit.account.id))
    except InvalidInput as exc:
        return await _page(visit, 422, problems=beside_fields(exc, _USER_LABELS)[0], email=email)
    except Conflict as exc:
        return await _page(visit, 409, problems={"email": str(exc)}, email=email)
    return see_other(f"{HERE}?done=user-added")


async def remove_user_page(visit: Visit) -> Response:
    """Asks for confirmation to remove the user, who may be the signed-in one."""
    users = await visit.call(ListUsers(account=visit.account))
    user = _one_of(users, "user", visit.path["id"])
    consequence = "The user is signed out everywhere at once. Everything that the user set up stays."
    if visit.session is not None and user.id == visit.session.user.id:
        consequence = "This is you: you will be signed out at once, and only another user can add you again."
    return visit.html(
        "confirm.html", title="Remove a user", what=user.email, consequence=consequence, button="Remove the user"
    )


async def remove_user(visit: Visit) -> Response:
    """Removes a user from the account."""
    try:
        await visit.call(RemoveUser(account=visit.account, user_id=visit.path["id"]))
    except Conflict as exc:
        return await _page(visit, 409, problem=str(exc))
    return see_other(f"{HERE}?done=user-removed")


async def change_password(visit: Visit) -> Response:
    """Changes the signed-in user's password."""
    if visit.session is None:
        raise Conflict("Sign in first.")
    command = ChangePassword(
        account=visit.account,
        user_id=visit.session.user.id,
        old=visit.form.raw("old"),
        new=visit.form.raw("new"),
        token_hash=visit.token_hash,
    )
    try:
        if not await visit.call(command):
            return await _page(
                visit, 422, problems={"old": "This is not your password, or there were too many attempts."}
            )
    except InvalidInput as exc:
        return await _page(visit, 422, problems=beside_fields(exc, {"new": "New password"}, {"/password": "new"})[0])
    return see_other(f"{HERE}?done=password")


PAGES: Final = (
    Page(method="GET", path="/account", handler=account_page),
    Page(method="POST", path="/account/keys", handler=new_key),
    Page(method="GET", path="/account/keys/{id}/revoke", handler=revoke_key_page),
    Page(method="POST", path="/account/keys/{id}/revoke", handler=revoke_key),
    Page(method="POST", path="/account/users", handler=add_user),
    Page(method="GET", path="/account/users/{id}/remove", handler=remove_user_page),
    Page(method="POST", path="/account/users/{id}/remove", handler=remove_user),
    Page(method="POST", path="/account/password", handler=change_password),
)

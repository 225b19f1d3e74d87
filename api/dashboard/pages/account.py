"""The account: its users, its API keys, and the visitor's own password."""

from __future__ import annotations

from typing import Any, Final

from actors import commands as c
from api.auth import key_hash, new_api_key
from api.dashboard.page import ROOT, Page, Visit, see_other
from api.reply import Reply
from domain.errors import Conflict, InvalidInput

HERE: Final = f"{ROOT}/account"


async def _page(visit: Visit, status: int = 200, **found: Any) -> Reply:
    shown: dict[str, Any] = {"problems": {}, "problem": "", "new_key": "", "email": "", **found}
    users = await visit.call(c.ListUsers(account=visit.account))
    keys = await visit.call(c.ListApiKeys(account=visit.account))
    return visit.html("account.html", status, users=users, keys=keys, done=visit.query.text("done"), **shown)


async def account_page(visit: Visit) -> Reply:
    """All of it."""
    return await _page(visit)


async def new_key(visit: Visit) -> Reply:
    """Makes an API key, which is shown this once."""
    api_key = new_api_key()
    name = visit.form.text("name")
    try:
        await visit.call(c.IssueApiKey(account=visit.account, name=name, key_hash=key_hash(api_key)))
    except InvalidInput as exc:
        return await _page(visit, 422, problems={"name": exc.problems[0][1]})
    return await _page(visit, new_key=api_key)


async def revoke_key(visit: Visit) -> Reply:
    """Takes an API key back."""
    await visit.call(c.RevokeApiKey(account=visit.account, key_id=visit.path["id"]))
    return see_other(f"{HERE}?done=key-revoked")


async def add_user(visit: Visit) -> Reply:
    """Makes another user of the account."""
    email, password = visit.form.text("email"), visit.form.raw("password")
    try:
        await visit.call(c.CreateUser(email=email, password=password, account_id=visit.account.id))
    except InvalidInput as exc:
        return await _page(visit, 422, problems={p.split("/")[1]: d for p, d in exc.problems}, email=email)
    except Conflict as exc:
        return await _page(visit, 409, problem=str(exc), email=email)
    return see_other(f"{HERE}?done=user-added")


async def remove_user(visit: Visit) -> Reply:
    """Ends a user of the account."""
    try:
        await visit.call(c.RemoveUser(account=visit.account, user_id=visit.path["id"]))
    except Conflict as exc:
        return await _page(visit, 409, problem=str(exc))
    return see_other(f"{HERE}?done=user-removed")


async def change_password(visit: Visit) -> Reply:
    """Changes the visitor's own password."""
    if visit.session is None:
        raise Conflict("Sign in first.")
    command = c.ChangePassword(
        account=visit.account,
        user_id=visit.session.user.id,
        old=visit.form.raw("old"),
        new=visit.form.raw("new"),
        token_hash=visit.token_hash,
    )
    try:
        if not await visit.call(command):
            return await _page(visit, 422, problems={"old": "is not your password, or there were too many tries"})
    except InvalidInput as exc:
        return await _page(visit, 422, problems={"new": exc.problems[0][1]})
    return see_other(f"{HERE}?done=password")


PAGES: Final = (
    Page(method="GET", path="/account", handler=account_page),
    Page(method="POST", path="/account/keys", handler=new_key),
    Page(method="POST", path="/account/keys/{id}/revoke", handler=revoke_key),
    Page(method="POST", path="/account/users", handler=add_user),
    Page(method="POST", path="/account/users/{id}/remove", handler=remove_user),
    Page(method="POST", path="/account/password", handler=change_password),
)

"""First run, sign-in and sign-out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

from actors.commands.accounts import Account, ListAccounts
from actors.commands.users import CreateUser, IsFirstRun, SignIn, SignOut
from api.dashboard.forms import beside_fields
from api.dashboard.request import ROOT, Page, Visit, see_other
from api.dashboard.session import clear_cookie, set_cookie, token_hash, token_of
from api.http.problem_types import ProblemType
from api.http.problems import ProblemError
from api.http.response import Response
from domain.errors import Conflict, InvalidInput

#: The choice of a new account in the form for the first user.
NEW: Final = "new"
#: Most accounts that the form offers.
MAX_OFFERED: Final = 100
TOO_MANY: Final = ProblemType(
    slug="too-many-tries",
    status=429,
    title="Too many sign-in attempts",
    advice="Wait, then try again; `Retry-After` has the time.",
)

_FIRST_RUN_LABELS: Final = {
    "token": "One-time token",
    "account_name": "Account name",
    "email": "Your e-mail address",
    "password": "Password",
}


async def sign_in_page(visit: Visit) -> Response:
    """The form, or the first-run form if there is no user."""
    if await visit.call(IsFirstRun()):
        return await _first_run_form(visit, token="")
    return _sign_in_form(visit, to=visit.query.text("to"), done=visit.query.text("done"))


def _sign_in_form(visit: Visit, status: int = 200, **values: str) -> Response:
    shown = {"to": "", "email": "", "problem": "", "done": "", **values}
    return visit.html("sign_in.html", status, **shown)


async def sign_in(visit: Visit) -> Response:
    """Starts a session and ends the previous one."""
    email, to = visit.form.text("email"), visit.form.text("to")
    signed_in = await visit.call(
        SignIn(email=email[:400], password=visit.form.raw("password")[:1000], address=visit.address)
    )
    if signed_in.wait_ms:
        minutes = -(-signed_in.wait_ms // 60_000)
        wait = "a minute" if minutes == 1 else f"{minutes} minutes"
        raise ProblemError(
            TOO_MANY,
            f"Too many attempts from this address or for this user. Try again in {wait}.",
            headers=(("Retry-After", str(-(-signed_in.wait_ms // 1000))),),
        )
    if signed_in.token is None:
        problem = "The e-mail address or the password is wrong."
        return _sign_in_form(visit, 422, email=email, to=to, problem=problem)
    before = token_of(visit.headers)
    if before is not None:
        await visit.call(SignOut(token_hash=token_hash(before)))
    return see_other(_own_path(to), (set_cookie(signed_in.token, is_https=visit.is_https),))


def _own_path(to: str) -> str:
    """The path if it is a page of the dashboard, else the start page: no redirect leaves the dashboard."""
    fit = to.startswith(f"{ROOT}/") and to.isascii() and to.isprintable() and not set(to) & set('\\"<> ')
    # Browsers resolve dots, even percent-encoded ones, and would leave the dashboard, for example for a tracked link,
    # which redirects anywhere.
    has_dots = not {".", ".."}.isdisjoint(unquote(to.partition("?")[0]).split("/"))
    return to if fit and not has_dots else f"{ROOT}/"


async def sign_out(visit: Visit) -> Response:
    """Ends the session."""
    await visit.call(SignOut(token_hash=visit.token_hash))
    return see_other(f"{ROOT}/sign-in?done=signed-out", (clear_cookie(is_https=visit.is_https),))


async def first_run_page(visit: Visit) -> Response:
    """The form for the first user, until one exists."""
    if not await visit.call(IsFirstRun()):
        return see_other(f"{ROOT}/sign-in")
    return await _first_run_form(visit, token=visit.query.text("token"))


async def _first_run_form(visit: Visit, token: str, problems: Mapping[str, str] | None = None) -> Response:
    """The form. Whoever has the token also sees the accounts that the command line has opened."""
    values = {"token": token, "problems": problems or {}}
    names = {name: visit.form.text(name) for name in ("email", "account", "account_name")}
    accounts = await _accounts(visit, token)
    return visit.html("first_run.html", 422 if problems else 200, **values, **names, accounts=accounts)


async def _accounts(visit: Visit, token: str) -> list[Account]:
    try:
        visit.services.first_run.check(token)
    except InvalidInput:
        return []
    return list(await visit.call(ListAccounts(limit=MAX_OFFERED)))


async def first_run(visit: Visit) -> Response:
    """Creates the first user, with a new account or in one that the command line has opened, and signs in."""
    form, first = visit.form, visit.services.first_run
    token, account = form.text("token"), form.text("account")
    try:
        first.check(token)
        command = CreateUser(
            email=form.text("email"),
            password=form.raw("password"),
            account_id=account if account not in {"", NEW} else None,
            account_name=form.text("account_name"),
            is_first=True,
        )
        await visit.call(command)
    except InvalidInput as exc:
        problems, _ = beside_fields(exc, _FIRST_RUN_LABELS, {"/name": "account_name"})
        return await _first_run_form(visit, token, problems)
    except Conflict:
        return see_other(f"{ROOT}/sign-in")
    first.close()
    return await sign_in(visit)


PAGES: Final = (
    Page(method="GET", path="/sign-in", handler=sign_in_page, is_open=True),
    Page(method="POST", path="/sign-in", handler=sign_in, is_open=True),
    Page(method="POST", path="/sign-out", handler=sign_out),
    Page(method="GET", path="/first-run", handler=first_run_page, is_open=True),
    Page(method="POST", path="/first-run", handler=first_run, is_open=True),
)

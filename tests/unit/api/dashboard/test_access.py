"""Access to the dashboard, generated over all of its pages."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest

from actors.commands.loops import ListLoops, SendSample
from actors.commands.users import FindSession, SignIn
from api.dashboard.asgi import CONTENT_SECURITY_POLICY
from api.dashboard.pages import PAGES
from api.dashboard.request import Page
from api.dashboard.session import COOKIE
from domain.key_derivation import derive
from domain.sessions import ABSOLUTE_MS
from tests.keys import KEYS
from tests.unit.api.dashboard.fake_dashboard import EMAIL, ORIGIN, PASSWORD, FakeDashboard, Visitor
from tests.unit.api.fake_api import Api, run

CLOSED = [page for page in PAGES if not page.is_open]
FORMS = [page for page in PAGES if page.method == "POST"]
WITH_IDS = [page for page in PAGES if "{" in page.path]
STREAMS = {"/live", "/loops/{id}/live", "/events/live"}


def name_of(page: Page) -> str:
    return f"{page.method} {page.path}"


@asynccontextmanager
async def visiting(*, signed_in: bool = True) -> AsyncIterator[tuple[FakeDashboard, Visitor]]:
    """A dashboard with data, and a visitor."""
    async with Api() as api:
        dashboard, visitor = FakeDashboard(api), Visitor(api)
        try:
            if signed_in:
                await visitor.get("/sign-in")
                await visitor.sign_in()
            yield dashboard, visitor
        finally:
            await visitor.close()


@pytest.mark.parametrize("page", CLOSED, ids=name_of)
def test_every_page_needs_a_session(page: Page) -> None:
    """Anyone without a session is redirected to the sign-in page, and nothing is changed."""

    async def scenario() -> None:
        async with visiting(signed_in=False) as (dashboard, visitor):
            before = len(dashboard.api.client.calls)
            path = dashboard.filled(page.path)
            answer = await (visitor.get(path) if page.method == "GET" else visitor.post(path))
            assert answer.status_code == 303
            assert answer.headers["location"].startswith("/dashboard/sign-in")
            assert len(dashboard.api.client.calls) == before

    run(scenario())


@pytest.mark.parametrize("page", WITH_IDS, ids=name_of)
def test_ids_of_other_accounts_are_not_found(page: Page) -> None:
    """Each page and form answers 404 for an id of another account, and changes nothing."""

    async def scenario() -> None:
        async with visiting() as (dashboard, visitor):
            stranger = FakeDashboard(dashboard.api, "zoe@example.com")
            stranger_state = dashboard.api.client._view(stranger.loop.id), list(dashboard.api.client.keys)
            path = stranger.filled(page.path)
            if page.path.startswith("/messages/"):
                dashboard.api.client.messages.pop((dashboard.account.no, "m-1"))
            fields = {
                "name": "Newsletter",
                "url": "https://x.example/",
                "triggers": "open",
                "type": "open",
                "data": "{}",
            }
            fields |= {"since": "2026-01-01T00:00"}
            answer = await (visitor.get(path) if page.method == "GET" else visitor.post(path, **fields))
            assert answer.status_code == 404, answer.text
            assert "Newsletter" not in answer.text
            assert (dashboard.api.client._view(stranger.loop.id), list(dashboard.api.client.keys)) == stranger_state

    run(scenario())


@pytest.mark.parametrize("page", FORMS, ids=name_of)
def test_a_form_from_another_site_is_refused(page: Page) -> None:
    """`Origin` or `Sec-Fetch-Site` of another site gets 403, whatever else the request has."""

    async def scenario() -> None:
        async with visiting() as (dashboard, visitor):
            before = len(dashboard.api.client.calls)
            for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
                answer = await visitor.http.post(
                    f"/dashboard{dashboard.filled(page.path)}", data={"csrf": visitor.csrf}, headers=headers
                )
                assert answer.status_code == 403, answer.text
            kinds = {type(call) for call in dashboard.api.client.calls[before:]}
            assert kinds <= {FindSession}

    run(scenario())


@pytest.mark.parametrize("page", [page for page in FORMS if not page.is_open], ids=name_of)
def test_a_form_without_the_sessions_field_is_refused(page: Page) -> None:
    """A missing field, or one of another session, gets 403 even from our own origin."""

    async def scenario() -> None:
        async with visiting() as (dashboard, visitor):
            before = len(dashboard.api.client.calls)
            for csrf in ("", "0" * 64):
                assert (await visitor.post(dashboard.filled(page.path), csrf=csrf)).status_code == 403
            assert {type(call) for call in dashboard.api.client.calls[before:]} <= {FindSession}

    run(scenario())


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_answer_has_the_security_headers(page: Page) -> None:
    """Pages, forms and errors all have them, and no cache stores a page of an account."""

    async def scenario() -> None:
        async with visiting() as (dashboard, visitor):
            path = dashboard.filled(page.path)
            if page.path in STREAMS:
                answer = await dashboard.api.stream(
                    f"/dashboard{path}", lambda got: "retry" in got, Cookie=f"{COOKIE}={visitor.http.cookies[COOKIE]}"
                )
            else:
                answer = await (visitor.get(path) if page.method == "GET" else visitor.post(path))
            assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "same-origin"
            assert answer.headers["cross-origin-opener-policy"] == "same-origin"
            assert answer.headers["cache-control"] == "no-store"
            assert "strict-transport-security" not in answer.headers
            assert not re.search(r"<script(?! src=)|\son\w+=|style=|javascript:", answer.text)

    run(scenario())


def test_the_first_user_can_join_an_account_of_the_command_line() -> None:
    """Only who has the token sees the accounts, and the first user then sees the loop that was made there."""
    token = f"flf_{derive(KEYS.signing_key, 'first-run', 16).hex()}"

    async def scenario() -> None:
        async with Api() as api:
            loop = await api.loop()
            (account,) = api.client.accounts.values()
            visitor = Visitor(api)
            for path in ("/first-run", "/first-run?token=flf_guess", "/sign-in"):
                assert account.id not in (await visitor.get(path)).text
            form = (await visitor.get(f"/first-run?token={token}")).text
            assert re.findall(r'<option value="(\w+)"', form) == [account.id, "new"]
            user = {"email": EMAIL, "password": PASSWORD, "token": token}
            wrong = await visitor.post("/first-run", **user, account="acc_none")
            assert wrong.status_code == 404
            made = await visitor.post("/first-run", **user, account=account.id)
            assert made.status_code == 303
            assert loop["id"] in (await visitor.get("/loops")).text
            assert len({known.id for known in api.client.accounts.values()}) == 1
            await visitor.close()

    run(scenario())


def test_the_first_run_needs_the_token_and_ends_with_the_first_user() -> None:
    """The page creates the first user only with the token, signs the user in, and is then closed."""
    token = f"flf_{derive(KEYS.signing_key, 'first-run', 16).hex()}"
    fields = {"email": EMAIL, "password": PASSWORD, "account_name": "Acme"}

    async def scenario() -> None:
        async with Api() as api:
            visitor = Visitor(api)
            assert "Welcome" in (await visitor.get("/sign-in")).text
            assert f'value="{token}"' in (await visitor.get(f"/first-run?token={token}")).text
            wrong = await visitor.post("/first-run", token="flf_guess", **fields)
            assert wrong.status_code == 422
            assert "first-run.token" in wrong.text
            assert PASSWORD not in wrong.text
            weak = await visitor.post("/first-run", **{**fields, "token": token, "password": "short"})
            assert weak.status_code == 422
            assert "at least 10 characters" in weak.text
            bad = await visitor.post(
                "/first-run", token=token, email="nobody", password="short", account_name="x" * 201
            )
            assert all(f"{name}-problem" in bad.text for name in ("email", "password", "account_name"))
            assert api.client.users == {}

            made = await visitor.post("/first-run", token=token, **fields)
            assert (made.status_code, made.headers["location"]) == (303, "/dashboard/")
            assert (await visitor.get("/")).status_code == 200
            again = await visitor.post("/first-run", **{**fields, "token": token, "email": "zoe@example.com"})
            assert (again.status_code, again.headers["location"]) == (303, "/dashboard/sign-in")
            assert (await visitor.get("/first-run")).status_code == 303
            assert len(api.client.users) == 1
            await visitor.close()

    run(scenario())


def test_signing_in_replaces_the_session() -> None:
    """The cookie is limited to this dashboard and hidden from scripts; an earlier session ends."""

    async def scenario() -> None:
        async with visiting() as (dashboard, visitor):
            first = visitor.http.cookies[COOKIE]
            answer = await visitor.sign_in()
            cookie = SimpleCookie(answer.headers["set-cookie"])[COOKIE]
            assert cookie.value != first
            assert (cookie["path"], cookie["samesite"], cookie["httponly"]) == ("/dashboard", "Lax", True)
            assert (cookie["secure"], cookie["max-age"]) == ("", str(ABSOLUTE_MS // 1000))
            assert len(dashboard.api.client.sessions) == 1
            await visitor.post("/sign-out")
            assert dashboard.api.client.sessions == {}
            assert (await visitor.get("/loops")).status_code == 303

    run(scenario())


def test_a_wrong_password_and_an_unknown_user_look_alike() -> None:
    """Neither begins a session, and the page shows the same message for both."""

    async def scenario() -> None:
        async with visiting(signed_in=False) as (dashboard, visitor):
            wrong = await visitor.sign_in(password="wrong horse battery")
            unknown = await visitor.sign_in("nobody@example.com", "wrong horse battery")
            assert wrong.status_code == unknown.status_code == 422
            assert wrong.text.replace(EMAIL, "") == unknown.text.replace("nobody@example.com", "")
            assert "set-cookie" not in wrong.headers
            assert dashboard.api.client.sessions == {}

    run(scenario())


def test_too_many_attempts_get_retry_after() -> None:
    """The limit of 429 counts by the client's address, also behind a trusted proxy."""

    async def scenario() -> None:
        async with visiting(signed_in=False) as (dashboard, visitor):
            dashboard.api.client.sign_in_wait_ms = 61_000
            answer = await visitor.sign_in()
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "61")
            assert "2 minutes" in answer.text
            await visitor.http.post(
                "/dashboard/sign-in", data={"email": EMAIL}, headers={"X-Forwarded-For": "192.0.2.9"}
            )
            assert [call.address for call in dashboard.api.client.called(SignIn)] == ["127.0.0.1", "127.0.0.1"]

    run(scenario())


def test_a_trusted_proxy_sets_the_client_address_and_https() -> None:
    """The client's address is the one from the proxy; the cookie is limited to HTTPS, and HSTS is set."""

    async def scenario() -> None:
        async with visiting(signed_in=False) as (dashboard, _):
            transport = httpx.ASGITransport(dashboard.api.app, client=("10.0.0.5", 1))
            headers = {**ORIGIN, "X-Forwarded-For": "192.0.2.9", "X-Forwarded-Proto": "https"}
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=headers) as http:
                answer = await http.post("/dashboard/sign-in", data={"email": EMAIL, "password": PASSWORD})
            assert dashboard.api.client.called(SignIn)[-1].address == "192.0.2.9"
            assert SimpleCookie(answer.headers["set-cookie"])[COOKIE]["secure"] is True
            assert "max-age" in answer.headers["strict-transport-security"]

    run(scenario())


@pytest.mark.parametrize(
    ("host", "peer", "headers", "is_secure"),
    [
        ("t.example", "10.0.0.5", {"X-Forwarded-For": "192.0.2.9"}, True),
        ("t.example", "198.51.100.7", {}, True),
        ("t.example", "127.0.0.1", {}, True),
        ("127.0.0.1:8080", "127.0.0.1", {"X-Forwarded-For": "192.0.2.9"}, True),
        ("127.0.0.1:8080", "198.51.100.7", {}, True),
        ("[bad", "127.0.0.1", {}, True),
        ("127.0.0.1:8080", "127.0.0.1", {}, False),
        ("localhost:8080", "::1", {}, False),
    ],
)
def test_a_public_url_of_https_protects_the_session(
    host: str, peer: str, headers: dict[str, str], is_secure: bool
) -> None:
    """Cookie and HSTS do not depend on the proxy's headers; only this machine's own browser may use HTTP."""

    async def scenario() -> None:
        async with visiting(signed_in=False) as (dashboard, _):
            transport = httpx.ASGITransport(dashboard.api.app, client=(peer, 1))
            sent = {"Host": host, "Origin": f"http://{host}", "Sec-Fetch-Site": "same-origin", **headers}
            async with httpx.AsyncClient(transport=transport, base_url="http://t.example", headers=sent) as http:
                answer = await http.post("/dashboard/sign-in", data={"email": EMAIL, "password": PASSWORD})
                tracked = await http.get("/o/x")
            assert bool(SimpleCookie(answer.headers["set-cookie"])[COOKIE]["secure"]) is is_secure
            assert ("strict-transport-security" in answer.headers) is is_secure
            assert "strict-transport-security" not in tracked.headers

    run(scenario())


@pytest.mark.parametrize(
    ("to", "there"),
    [
        ("/dashboard/loops", "/dashboard/loops"),
        ("https://evil.example/", "/dashboard/"),
        ("//evil.example/dashboard/", "/dashboard/"),
        ("/dashboard/\\evil", "/dashboard/"),
        ("/dashboard/../c/token", "/dashboard/"),
        ("/dashboard/loops/%2e%2E/../c/token", "/dashboard/"),
        ("/dashboard/./loops", "/dashboard/"),
        ("/dashboard/events?message=..", "/dashboard/events?message=.."),
        ("/v1/accounts", "/dashboard/"),
        ("", "/dashboard/"),
    ],
)
def test_signing_in_redirects_only_within_the_dashboard(to: str, there: str) -> None:
    """The requested page is shown; other destinations are ignored."""

    async def scenario() -> None:
        async with visiting(signed_in=False) as (_, visitor):
            answer = await visitor.post("/sign-in", email=EMAIL, password=PASSWORD, to=to)
            assert (answer.status_code, answer.headers["location"]) == (303, there)

    run(scenario())


def test_a_form_after_the_session_reports_that_nothing_was_done() -> None:
    """The input is lost, and the sign-in page explains it."""

    async def scenario() -> None:
        async with visiting(signed_in=False) as (_, visitor):
            answer = await visitor.post("/loops/new", url="https://example.com/")
            assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/sign-in?done=session-ended")
            assert "your change was not made" in (await visitor.get("/sign-in?done=session-ended")).text

    run(scenario())


@pytest.mark.parametrize("path", ["/nothing", "/loops/", "/static/nothing.css", "/static/dashboard.css"])
def test_an_unknown_page_is_not_found(path: str) -> None:
    """The answer is an HTML page, with or without a session."""

    async def scenario() -> None:
        async with visiting() as (_, visitor):
            answer = await visitor.get(path)
            assert answer.status_code == 404
            assert answer.headers["content-type"] == "text/html; charset=utf-8"

    run(scenario())


def test_the_root_leads_to_the_dashboard() -> None:
    """`/` and `/dashboard` redirect there; a wrong method, media type or body size is refused with a page."""

    async def scenario() -> None:
        async with visiting() as (_, visitor):
            for path in ("/", "/dashboard"):
                answer = await visitor.http.get(path)
                assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/")
            assert (await visitor.http.put("/dashboard/loops")).status_code == 405
            typed: dict[str, Any] = {"content": b"{}", "headers": {"Content-Type": "application/json"}}
            assert (await visitor.http.post("/dashboard/loops/new", **typed)).status_code == 415
            large: dict[str, Any] = {"data": {"csrf": visitor.csrf, "description": "x" * 300_000}}
            assert (await visitor.http.post("/dashboard/loops/new", **large)).status_code == 413
            many: dict[str, Any] = {"data": {f"f{n}": "" for n in range(600)}}
            assert (await visitor.http.post("/dashboard/loops/new", **many)).status_code == 400

    run(scenario())


def test_an_error_page_reveals_no_internals() -> None:
    """An unexpected error is 500, an unavailable store 503; htmx gets the text where it shows it."""

    async def scenario() -> None:
        async with visiting() as (dashboard, visitor):
            dashboard.api.client.failures[ListLoops] = [RuntimeError("a secret of ours")]
            answer = await visitor.get("/loops")
            assert answer.status_code == 500
            assert "a secret of ours" not in answer.text
            dashboard.api.client.failures[SendSample] = [RuntimeError("another")]
            path = f"/loops/{dashboard.loop.id}/test"
            part = await visitor.http.post(
                f"/dashboard{path}",
                data={"csrf": visitor.csrf, "type": "open", "data": "{}"},
                headers={"HX-Request": "true"},
            )
            assert (part.status_code, part.text.count("<html")) == (200, 0)
            assert 'role="alert"' in part.text
            await visitor.post("/sign-out")
            gone = await visitor.get(path, headers={"HX-Request": "true"})
            assert (gone.status_code, gone.headers["hx-redirect"]) == (401, "/dashboard/sign-in")

    run(scenario())

"""ASGI application of the dashboard: finds the page, checks the session, and shows every error as a page."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from api.dashboard import session as cookies
from api.dashboard import sse
from api.dashboard.forms import Form, beside_fields, plain, sentence
from api.dashboard.pages import PAGES
from api.dashboard.render import Renderer
from api.dashboard.request import HTML, ROOT, Page, Visit, see_other
from api.dashboard.static_files import StaticFiles
from api.http.body import SMALL_BODY_BYTES, read_body
from api.http.client_address import ClientAddresses
from api.http.endpoint import path_parameters
from api.http.operation import Services
from api.http.problem_types import METHOD_NOT_ALLOWED, NOT_FOUND, UNSUPPORTED_MEDIA_TYPE
from api.http.problems import Problem, ProblemError, problem_of
from api.http.response import Response, send_response
from domain.errors import InvalidInput, NotFound
from domain.public_url import is_loopback

log = logging.getLogger(__name__)

STATIC: Final = f"{ROOT}/static"
#: No resources of other hosts, nothing inline, and no framing.
CONTENT_SECURITY_POLICY: Final = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
SECURITY_HEADERS: Final = (
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Referrer-Policy", "same-origin"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
_HSTS: Final = ("Strict-Transport-Security", "max-age=31536000")
_FORM: Final = "application/x-www-form-urlencoded"


#: Headers that a proxy adds.
_FORWARDING: Final = ("forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-real-ip", "via")


def _is_local(scope: Scope, headers: Headers) -> bool:
    """Whether the request comes from this machine, for this machine, without a proxy."""
    try:
        host = urlsplit(f"//{headers.get('host', '')}").hostname or ""
    except ValueError:
        return False
    return is_loopback(host) and is_loopback(_peer(scope)) and not any(name in headers for name in _FORWARDING)


@functools.cache
def _files_and_templates() -> tuple[StaticFiles, Renderer]:
    """The static files and templates. They take long to read, and are the same for each application of the process."""
    static = StaticFiles(STATIC)
    return static, Renderer(static)


class Dashboard:
    """Serves `/` and everything below `ROOT`."""

    def __init__(
        self, services: Services, clients: ClientAddresses, public_url: str, pages: Sequence[Page] = PAGES
    ) -> None:
        self._services = services
        self._clients = clients
        self._public_url = public_url
        self._static, self._renderer = _files_and_templates()
        by_path: dict[str, dict[str, Page]] = {}
        for page in pages:
            by_path.setdefault(page.path, {})[page.method] = page
        # Only the patterns of these routes are used.
        self._routes = [(Route(ROOT + path, _nothing), by_method) for path, by_method in by_path.items()]

    def handles(self, path: str) -> bool:
        """Whether a request for this path is for the dashboard."""
        return path in {"/", ROOT} or path.startswith(f"{ROOT}/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            response = await self._answer(scope, headers, receive)
        except ClientDisconnect:
            return
        except Exception as exc:  # noqa: BLE001 - the last line of defence: every request gets a response
            response = self._error_page(problem_of(exc), None, headers)
        secure = (*SECURITY_HEADERS, *((_HSTS,) if self._is_https(scope, headers) else ()))
        with suppress(ClientDisconnect):
            await send_response(scope, receive, send, replace(response, headers=(*response.headers, *secure)))

    async def _answer(self, scope: Scope, headers: Headers, receive: Receive) -> Response:
        path: str = scope["path"]
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        if path in {"/", ROOT}:
            return see_other(f"{ROOT}/")
        if path.startswith(f"{STATIC}/"):
            return self._static_file(path, headers)
        page, parameters = self._page(path, method)
        token = cookies.token_of(headers)
        session = None if page.is_open else await cookies.session_of(self._services.client, token)
        if session is None and not page.is_open:
            if sse.is_wanted(headers):
                return sse.ended(sse.SIGNED_OUT)
            return _to_sign_in(scope, method, headers)
        form = await self._form(method, headers, receive)
        csrf = cookies.csrf_of(token) if session is not None and token is not None else None
        if method == "POST":
            cookies.check_form(headers, form.raw(cookies.CSRF_FIELD), csrf, self._public_url)
            self._services.ledger_watch.require()
        visit = Visit(
            services=self._services,
            renderer=self._renderer,
            session=session,
            token_hash=cookies.token_hash(token) if token else "",
            csrf=csrf or "",
            path=path_parameters({"path_params": parameters}),
            query=Form.read(scope["query_string"]),
            form=form,
            headers=headers,
            address=self._clients.of(_peer(scope), scope["headers"]),
            is_https=self._is_https(scope, headers),
        )
        try:
            return await page.handler(visit)
        except Exception as exc:  # noqa: BLE001 - shown on a page with the user's session
            if isinstance(exc, NotFound) and sse.is_wanted(headers):
                return sse.ended(sse.GONE)
            return self._error_page(problem_of(exc, is_known=session is not None), visit, headers)

    def _page(self, path: str, method: str) -> tuple[Page, Mapping[str, str]]:
        for route, by_method in self._routes:
            match, child = route.matches({"type": "http", "path": path, "method": "GET", "root_path": ""})
            if match is Match.FULL:
                if method not in by_method:
                    detail = f"this page accepts {', '.join(sorted(by_method))}, not {method}"
                    raise ProblemError(METHOD_NOT_ALLOWED, detail, headers=(("Allow", ", ".join(sorted(by_method))),))
                return by_method[method], child["path_params"]
        raise NotFound("This page does not exist.")

    async def _form(self, method: str, headers: Headers, receive: Receive) -> Form:
        if method != "POST":
            return Form()
        content_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if content_type != _FORM:
            raise ProblemError(UNSUPPORTED_MEDIA_TYPE, f"Content-Type must be {_FORM}")
        return Form.read(await read_body(headers.get("content-length"), receive, SMALL_BODY_BYTES))

    def _static_file(self, path: str, headers: Headers) -> Response:
        found = self._static.file(path.removeprefix(f"{STATIC}/"))
        if found is None:
            return self._error_page(Problem(kind=NOT_FOUND, detail="This file does not exist."), None, headers)
        return found.response(headers.get("accept-encoding", ""))

    def _is_https(self, scope: Scope, headers: Headers) -> bool:
        """Whether the browser uses HTTPS: to the service, to a trusted proxy, or because the public URL is https.

        A browser on this machine may use the service directly, whatever the public URL is.
        """
        if scope.get("scheme") == "https":
            return True
        if self._public_url.startswith("https://") and not _is_local(scope, headers):
            return True
        return headers.get("x-forwarded-proto") == "https" and self._clients.trusts(_peer(scope))

    def _error_page(self, problem: Problem, visit: Visit | None, headers: Headers) -> Response:
        values = {
            "visit": visit,
            "session": visit.session if visit else None,
            "csrf": visit.csrf if visit else "",
            "problem": problem,
            "detail": _detail(problem),
        }
        is_fragment = headers.get("hx-request") == "true"
        body = self._renderer.render("_error.html" if is_fragment else "error.html", values)
        # htmx only shows successful responses.
        status = 200 if is_fragment else problem.kind.status
        return Response(status=status, body=body, content_type=HTML, headers=problem.headers)


async def _nothing(_scope: Scope, _receive: Receive, _send: Send) -> None:
    """Endpoint of routes that only serve for matching; never called."""


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _detail(problem: Problem) -> str:
    """The problem in the words of a page. The API's advice is for programs."""
    if problem.errors:
        return beside_fields(InvalidInput(problem.detail, list(problem.errors)), {})[1]
    if problem.kind.retry and problem.detail == problem.kind.advice:
        return "The service cannot do this now. Try again in a few seconds."
    return sentence(plain(problem.detail))


def _to_sign_in(scope: Scope, method: str, headers: Headers) -> Response:
    """Redirects to the sign-in page, which leads back to the requested page."""
    path = f"{ROOT}/sign-in"
    if method == "POST":  # the form's content is lost, so the page reports that nothing was changed
        path += "?done=session-ended"
    elif headers.get("hx-request") != "true" and scope["path"] != f"{ROOT}/":
        path += f"?to={scope['path']}"
    if headers.get("hx-request") == "true":
        # Otherwise htmx would insert the sign-in page into part of the current one.
        return Response(status=401, content_type=HTML, headers=(("HX-Redirect", path),))
    return see_other(path)

"""Session cookie, and the CSRF check of forms."""

from __future__ import annotations

import hashlib
import hmac
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from actors.commands.users import FindSession, Session
from actors.gateway.client import Client
from api.http.problem_types import ProblemType
from api.http.problems import ProblemError
from domain.sessions import ABSOLUTE_MS

COOKIE: Final = "feedback_loops_session"
#: The CSRF field that every form of a session has.
CSRF_FIELD: Final = "csrf"
_MAX_TOKEN_CHARS: Final = 200

FORGED: Final = ProblemType(
    slug="not-from-our-page",
    status=403,
    title="This form was not sent from this dashboard",
    advice="Reload the page and send the form again.",
)


def token_of(headers: Headers) -> str | None:
    """The session's token from the cookie, or None."""
    for pair in headers.get("cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE and 0 < len(value) <= _MAX_TOKEN_CHARS:
            return value
    return None


def token_hash(token: str) -> str:
    """The stored form of a token. A fast hash is enough for 256 random bits."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


async def session_of(client: Client, token: str | None) -> Session | None:
    """The live session with this token, or None."""
    return None if token is None else await client.call(FindSession(token_hash=token_hash(token)))


def set_cookie(token: str, *, is_https: bool) -> tuple[str, str]:
    """The header that sets the session cookie. Scripts cannot read it; other sites cannot send it with a form."""
    return "Set-Cookie", f"{COOKIE}={token}; Max-Age={ABSOLUTE_MS // 1000}; {_attributes(is_https=is_https)}"


def clear_cookie(*, is_https: bool) -> tuple[str, str]:
    """The header that removes the cookie."""
    return "Set-Cookie", f"{COOKIE}=; Max-Age=0; {_attributes(is_https=is_https)}"


def _attributes(*, is_https: bool) -> str:
    return "Path=/dashboard; HttpOnly; SameSite=Lax" + ("; Secure" if is_https else "")


def csrf_of(token: str) -> str:
    """The CSRF token of the session's forms. Only the holder of the session's token can compute it."""
    return hmac.new(token.encode("utf-8", "surrogatepass"), b"csrf", hashlib.sha256).hexdigest()


def check_form(headers: Headers, given: str, csrf: str | None, public_url: str) -> None:
    """Checks that a form was sent from the dashboard and, if there is a session, from a page of that session.

    Browsers report the sender of a form (`Sec-Fetch-Site`, `Origin`). Without either header, the session's own field
    is enough, except for signing in.

    Raises:
        ProblemError: 403.
    """
    if not _is_ours(headers, public_url, may_be_silent=csrf is not None):
        raise ProblemError(
            FORGED,
            "the form was sent from another site, or a proxy changes the `Host` header; "
            "open the dashboard at its own address, or set FEEDBACK_LOOPS_PUBLIC_URL to it",
        )
    if csrf is not None and not hmac.compare_digest(given.encode(), csrf.encode()):
        raise ProblemError(FORGED, "the form belongs to another session; reload the page and send the form again")


def _is_ours(headers: Headers, public_url: str, *, may_be_silent: bool) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("origin")
    if origin is None:
        return may_be_silent
    return urlsplit(origin).netloc.lower() in {headers.get("host", "").lower(), urlsplit(public_url).netloc.lower()}

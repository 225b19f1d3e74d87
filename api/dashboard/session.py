"""Who is here: the session's cookie, and the proof that a form came from one of our pages."""

from __future__ import annotations

import hashlib
import hmac
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers

from actors.commands.users import FindSession, Session
from actors.gateway.client import Client
from api.http.problems import Kind, Refused
from domain.sessions import ABSOLUTE_MS

COOKIE: Final = "feedback_loops_session"
#: The field that every form of a session has.
CSRF_FIELD: Final = "csrf"
_MAX_TOKEN_CHARS: Final = 200

FORGED: Final = Kind(
    slug="not-from-our-page",
    status=403,
    title="This form was not sent from this dashboard",
    advice="Reload the page and send the form again.",
)


def token_of(headers: Headers) -> str | None:
    """The session's token in the cookie, if there is one."""
    for pair in headers.get("cookie", "").split(";"):
        name, _, value = pair.strip().partition("=")
        if name == COOKIE and 0 < len(value) <= _MAX_TOKEN_CHARS:
            return value
    return None


def token_hash(token: str) -> str:
    """What is stored of a token: it has 256 random bits, so no slower hash is called for."""
    return sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


async def session_of(client: Client, token: str | None) -> Session | None:
    """The session that goes on under this token."""
    return None if token is None else await client.call(FindSession(token_hash=token_hash(token)))


def set_cookie(token: str, *, is_https: bool) -> tuple[str, str]:
    """The header that gives a browser its session. No script can read the cookie, no other site send it with a form."""
    return "Set-Cookie", f"{COOKIE}={token}; Max-Age={ABSOLUTE_MS // 1000}; {_attributes(is_https=is_https)}"


def clear_cookie(*, is_https: bool) -> tuple[str, str]:
    """The header that takes it back."""
    return "Set-Cookie", f"{COOKIE}=; Max-Age=0; {_attributes(is_https=is_https)}"


def _attributes(*, is_https: bool) -> str:
    return "Path=/dashboard; HttpOnly; SameSite=Lax" + ("; Secure" if is_https else "")


def csrf_of(token: str) -> str:
    """What forms of the session send back: who does not know the token cannot make it."""
    return hmac.new(token.encode("utf-8", "surrogatepass"), b"csrf", hashlib.sha256).hexdigest()


def check_form(headers: Headers, given: str, csrf: str | None, public_url: str) -> None:
    """Returns when a form was sent from one of our pages, and (with a session) from this session's.

    Browsers say where a form was sent from (`Sec-Fetch-Site`, `Origin`). One that says neither is let in with the
    session's own field alone; to sign in, it has to say.

    Raises:
        Refused: 403.
    """
    if not _is_ours(headers, public_url, may_be_silent=csrf is not None):
        raise Refused(
            FORGED,
            "the form was sent from another site, or a proxy changes the `Host` header; "
            "open the dashboard at its own address, or set FEEDBACK_LOOPS_PUBLIC_URL to it",
        )
    if csrf is not None and not hmac.compare_digest(given.encode(), csrf.encode()):
        raise Refused(FORGED, "the form belongs to another session; reload the page and send the form again")


def _is_ours(headers: Headers, public_url: str, *, may_be_silent: bool) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("origin")
    if origin is None:
        return may_be_silent
    return urlsplit(origin).netloc.lower() in {headers.get("host", "").lower(), urlsplit(public_url).netloc.lower()}

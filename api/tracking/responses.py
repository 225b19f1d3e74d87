"""Responses to requests for tracking URLs, as ASGI messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from api.tracking.unsubscribe_page import CONTENT_SECURITY_POLICY

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

#: The smallest transparent GIF.
PIXEL: Final = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
#: Caches must not store answers, because every hit must reach us. `Pragma` and `Expires` are for HTTP/1.0 caches.
_NO_STORE: Final[Headers] = [
    (b"cache-control", b"no-store, no-cache, must-revalidate, private, max-age=0"),
    (b"pragma", b"no-cache"),
    (b"expires", b"Thu, 01 Jan 1970 00:00:00 GMT"),
]


def _headers(content_type: bytes, body: bytes, *more: tuple[bytes, bytes]) -> Headers:
    about_body = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    return [*about_body, *_NO_STORE, (b"x-content-type-options", b"nosniff"), *more]


PIXEL_HEADERS: Final = _headers(b"image/gif", PIXEL)
REDIRECT_HEADERS: Final[Headers] = [(b"content-length", b"0"), *_NO_STORE]
_TEXT: Final = b"text/plain; charset=utf-8"
#: Anyone with the URL of such a page can unsubscribe the recipient: keep it out of referrers and search engines.
_PAGE_HEADERS: Final[Headers] = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-robots-tag", b"noindex, nofollow"),
]


async def answer(scope: Scope, send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def answer_text(scope: Scope, send: Send, status: int, body: bytes, *more: tuple[bytes, bytes]) -> None:
    await answer(scope, send, status, _headers(_TEXT, body, *more), body)


async def answer_page(scope: Scope, send: Send, status: int, page: bytes) -> None:
    await answer(scope, send, status, _headers(b"text/html; charset=utf-8", page, *_PAGE_HEADERS), page)


async def answer_not_found(scope: Scope, send: Send) -> None:
    await answer_text(scope, send, 404, b"This link is incomplete or was changed.\n")


async def answer_not_allowed(scope: Scope, send: Send, allowed: bytes) -> None:
    await answer_text(scope, send, 405, b"This method is not allowed here.\n", (b"allow", allowed))

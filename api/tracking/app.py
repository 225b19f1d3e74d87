"""ASGI application of tracking URLs: the pixel, tracked links and one-click unsubscribing.

It uses no framework, because this is the hot path. An answer needs only the token and the journal (I2).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from time import perf_counter, time_ns
from typing import Any, Final, Protocol
from urllib.parse import quote, unquote_to_bytes

from actors.commands.intake import event_id_of
from actors.metrics.instruments import HitInstruments
from actors.tracing.spans import Span, Traces
from api.http.client_address import ClientAddresses
from api.journal.journal import Journal
from api.tracking.hits import HitEncoder
from api.tracking.idna import ascii_host
from api.tracking.unsubscribe_page import ASK_PAGE, CONTENT_SECURITY_POLICY, DONE_PAGE, ONE_CLICK
from api.tracking.urls import PATHS
from domain.errors import InvalidToken
from domain.tokens import TrackingToken, TrackingTokens

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

#: The smallest transparent GIF.
PIXEL: Final = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
MAX_BODY_BYTES: Final = 4096

#: Caches must not store answers, because every hit must reach us. `Pragma` and `Expires` are for HTTP/1.0 caches.
_NO_STORE: Final[Headers] = [
    (b"cache-control", b"no-store, no-cache, must-revalidate, private, max-age=0"),
    (b"pragma", b"no-cache"),
    (b"expires", b"Thu, 01 Jan 1970 00:00:00 GMT"),
]
#: The host of a URL: between the last `@` before its path and the port.
_HOST: Final = re.compile(r"https?://(?>(?:[^/?#\\]*@)?)([^/?#\\@:]+)", re.IGNORECASE)
#: A part of a multipart form with lines ending in \n: the field's header without a file name, an empty line, the value.
_ONE_CLICK_PART: Final = re.compile(
    rb'(?:\n[^\n]+)*\n(?i:content-disposition:[ \t]*form-data)[ \t]*;[ \t]*(?i:name)="?%b"?[ \t]*(?:\n[^\n]+)*\n\n%b'
    % ONE_CLICK
)
_PLAIN_ASCII: Final = re.compile(r"[!-~]+")
_ALL_ASCII: Final = "".join(map(chr, range(0x21, 0x7F)))


def _headers(content_type: bytes, body: bytes, *more: tuple[bytes, bytes]) -> Headers:
    about_body = [(b"content-type", content_type), (b"content-length", b"%d" % len(body))]
    return [*about_body, *_NO_STORE, (b"x-content-type-options", b"nosniff"), *more]


_PIXEL_HEADERS: Final = _headers(b"image/gif", PIXEL)
_REDIRECT_HEADERS: Final[Headers] = [(b"content-length", b"0"), *_NO_STORE]
_TEXT: Final = b"text/plain; charset=utf-8"
#: Anyone with the URL of such a page can unsubscribe the recipient: keep it out of referrers and search engines.
_PAGE_HEADERS: Final[Headers] = [
    (b"content-security-policy", CONTENT_SECURITY_POLICY.encode()),
    (b"referrer-policy", b"no-referrer"),
    (b"x-robots-tag", b"noindex, nofollow"),
]


class Clock(Protocol):
    """The time of day."""

    def now_ms(self) -> int:
        """Unix time, milliseconds."""
        ...


class TrackingApp:
    """Answers tracking URLs. A genuine hit is in the journal before its answer goes out.

    HEAD is answered like GET, but records nothing. An invalid token is answered with 404, and nothing is recorded.
    """

    def __init__(
        self,
        tokens: TrackingTokens,
        journal: Journal,
        trusted_proxies: Sequence[IPv4Network | IPv6Network],
        clock: Clock,
        instruments: HitInstruments | None = None,
        traces: Traces | None = None,
    ) -> None:
        self._tokens = tokens
        self._journal = journal
        self._instruments = instruments or HitInstruments()
        self._traces = traces
        self._hits = HitEncoder(clock.now_ms, ClientAddresses(trusted_proxies))
        self._routes = {"open": self._open, "click": self._click, "unsubscribe": self._unsubscribe}

    def handles(self, path: str) -> bool:
        """Whether this application answers requests for this path."""
        return path[:3] in PATHS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"tracking answers only HTTP, not {scope['type']}")
        path: str = scope["path"]
        kind = PATHS.get(path[:3])
        if kind is None:
            await _answer_not_found(scope, send)
            return
        method = scope["method"]
        if method not in {"GET", "HEAD"} and not (method == "POST" and kind == "unsubscribe"):
            await _answer_not_allowed(scope, send, b"GET, HEAD, POST" if kind == "unsubscribe" else b"GET, HEAD")
            return
        try:
            token = self._tokens.read(kind, path[3:])
        except InvalidToken:
            self._instruments.refused.value += 1
            await _answer_not_found(scope, send)
            return
        await self._routes[kind](token, scope, receive, send)

    async def _open(self, token: TrackingToken, scope: Scope, _: Receive, send: Send) -> None:
        if scope["method"] == "GET":
            await self._record(token, scope)
        await _answer(scope, send, 200, _PIXEL_HEADERS, PIXEL)

    async def _click(self, token: TrackingToken, scope: Scope, _: Receive, send: Send) -> None:
        location = location_of(token.target)
        if location is None:
            await _answer_not_found(scope, send)
            return
        if scope["method"] == "GET":
            await self._record(token, scope)
        await _answer(scope, send, 302, [(b"location", location), *_REDIRECT_HEADERS], b"")

    async def _unsubscribe(self, token: TrackingToken, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await _answer_page(scope, send, 200, ASK_PAGE)
            return
        body = await _read_body(receive)
        if body is None:
            await _answer_text(scope, send, 413, b"The body of the request is too long.\n")
        elif not asks_to_unsubscribe(body):
            await _answer_page(scope, send, 400, ASK_PAGE)
        else:
            await self._record(token, scope)
            await _answer_page(scope, send, 200, DONE_PAGE)

    async def _record(self, token: TrackingToken, scope: Scope) -> None:
        began_s = perf_counter()
        client = scope.get("client")
        hit = self._hits.encode(token, client[0] if client else "", scope["headers"])
        await self._journal.append(hit)
        self._instruments.hits[token.kind].value += 1
        duration_s = perf_counter() - began_s
        self._instruments.answer.observe(duration_s)
        if self._traces is not None:
            self._trace(self._traces, token.kind, hit, duration_s)

    def _trace(self, traces: Traces, kind: str, hit: bytes, duration_s: float) -> None:
        event_id = event_id_of(hit)
        if event_id is not None and traces.wants(event_id):
            ended_ns = time_ns()
            traces.add(
                Span(event_id, "hit", ended_ns - round(duration_s * 1e9), ended_ns, {"feedback_loops.type": kind})
            )


def location_of(target: str) -> bytes | None:
    """The `Location` header for a link's target, as a URI in printable ASCII. None: not an http(s) URL."""
    if not target[:8].lower().startswith(("http://", "https://")):
        return None
    if _PLAIN_ASCII.fullmatch(target):
        return target.encode()
    if found := _HOST.match(target):
        # Some programs look up the name unchanged, so convert a Unicode name to ASCII.
        target = f"{target[: found.start(1)]}{ascii_host(found[1])}{target[found.end(1) :]}"
    return quote(target, safe=_ALL_ASCII).encode()


def asks_to_unsubscribe(body: bytes) -> bool:
    """Whether a POST's body contains the field of RFC 8058 with its value, as a URL-encoded or multipart form."""
    name, value = ONE_CLICK
    body = body.strip()
    if body.startswith(b"--"):
        delimiter = body.split(b"\n", 1)[0].rstrip()
        parts = body.replace(b"\r\n", b"\n").split(b"\n" + delimiter)
        return any(_ONE_CLICK_PART.fullmatch(part.removeprefix(delimiter)) for part in parts)
    pairs = (pair.partition(b"=") for pair in body.split(b"&"))
    return any((unquote_to_bytes(n), unquote_to_bytes(v)) == (name, value) for n, _, v in pairs)


async def _read_body(receive: Receive) -> bytes | None:
    """The request's body; None if it is longer than 4 KiB or the client disconnected."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        part: bytes = message.get("body", b"")
        body += part
        if len(body) > MAX_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return body


async def _answer(scope: Scope, send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


async def _answer_text(scope: Scope, send: Send, status: int, body: bytes, *more: tuple[bytes, bytes]) -> None:
    await _answer(scope, send, status, _headers(_TEXT, body, *more), body)


async def _answer_page(scope: Scope, send: Send, status: int, page: bytes) -> None:
    await _answer(scope, send, status, _headers(b"text/html; charset=utf-8", page, *_PAGE_HEADERS), page)


async def _answer_not_found(scope: Scope, send: Send) -> None:
    await _answer_text(scope, send, 404, b"This link is incomplete or was changed.\n")


async def _answer_not_allowed(scope: Scope, send: Send, allowed: bytes) -> None:
    await _answer_text(scope, send, 405, b"This method is not allowed here.\n", (b"allow", allowed))

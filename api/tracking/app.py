"""ASGI application of tracking URLs: the pixel, tracked links and one-click unsubscribing.

It uses no framework, because this is the hot path. An answer needs only the token and the journal (I2).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network
from time import perf_counter, time_ns
from typing import Final, Protocol
from urllib.parse import quote

from actors.commands.intake import event_id_of
from actors.metrics.instruments import HitInstruments
from actors.tracing.spans import Span, Traces
from api.http.client_address import ClientAddresses
from api.tracking.hits import HitEncoder
from api.tracking.idna import ascii_host
from api.tracking.one_click import asks_to_unsubscribe
from api.tracking.responses import (
    PIXEL,
    PIXEL_HEADERS,
    REDIRECT_HEADERS,
    Receive,
    Scope,
    Send,
    answer,
    answer_not_allowed,
    answer_not_found,
    answer_page,
    answer_text,
)
from api.tracking.unsubscribe_page import ASK_PAGE, DONE_PAGE
from api.tracking.urls import PATHS, token_text
from domain.errors import InvalidToken, UnknownKey
from domain.kept_ip import KeepIp
from domain.tokens import TrackingToken, TrackingTokens

MAX_BODY_BYTES: Final = 4096
#: Seconds after which a token may be verifiable that was not while keys were missing.
RETRY_AFTER_S: Final = b"5"

#: The host of a URL: between the last `@` before its path and the port.
_HOST: Final = re.compile(r"https?://(?>(?:[^/?#\\]*@)?)([^/?#\\@:]+)", re.IGNORECASE)
_PLAIN_ASCII: Final = re.compile(r"[!-~]+")
_ALL_ASCII: Final = "".join(map(chr, range(0x21, 0x7F)))


class Clock(Protocol):
    """The time of day."""

    def now_ms(self) -> int:
        """Unix time, milliseconds."""
        ...


class HitJournal(Protocol):
    """The journal of answered hits."""

    async def append(self, hit: bytes) -> None:
        """Adds a hit; returns when it may be answered."""
        ...


class KnownKeys(Protocol):
    """The keys that this machine has."""

    @property
    def is_current(self) -> bool:
        """Whether a key that is not known here does not exist."""
        ...

    @property
    def is_wrong_installation(self) -> bool:
        """Whether the store belongs to another installation than the keys."""
        ...

    def reload(self) -> None:
        """Reads the keys again if they have changed on the disk."""
        ...


class TrackingApp:
    """Answers tracking URLs. A genuine hit is in the journal before its answer goes out.

    HEAD is answered like GET, but records nothing. An invalid token is answered with 404, and nothing is recorded.
    """

    def __init__(
        self,
        tokens: TrackingTokens,
        journal: HitJournal,
        trusted_proxies: Sequence[IPv4Network | IPv6Network],
        clock: Clock,
        keep_ip: KeepIp = KeepIp.FULL,
        instruments: HitInstruments | None = None,
        traces: Traces | None = None,
        keys: KnownKeys | None = None,
    ) -> None:
        self._tokens = tokens
        self._keys = keys
        self._journal = journal
        self._instruments = instruments or HitInstruments()
        self._traces = traces
        self._hits = HitEncoder(clock.now_ms, ClientAddresses(trusted_proxies), keep_ip)
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
            await answer_not_found(scope, send)
            return
        method = scope["method"]
        if method not in {"GET", "HEAD"} and not (method == "POST" and kind == "unsubscribe"):
            await answer_not_allowed(scope, send, b"GET, HEAD, POST" if kind == "unsubscribe" else b"GET, HEAD")
            return
        try:
            token = self._tokens.read(kind, token_text(path))
        except InvalidToken as exc:
            is_unknown = isinstance(exc, UnknownKey)
            found = self._read_again(kind, path) if is_unknown else None
            if found is None:
                await self._refuse(scope, send, is_unknown=is_unknown)
                return
            token = found
        await self._routes[kind](token, scope, receive, send)

    def _read_again(self, kind: str, path: str) -> TrackingToken | None:
        """The token, if its key has come to this machine since the keys were read."""
        if self._keys is None:
            return None
        self._keys.reload()
        try:
            return self._tokens.read(kind, token_text(path))
        except InvalidToken:
            return None

    async def _refuse(self, scope: Scope, send: Send, *, is_unknown: bool) -> None:
        """Answers a token that cannot be verified, `is_unknown`: because its key is not known.

        It may be genuine while this machine may lack keys, or has those of another installation.
        """
        self._instruments.refused.value += 1
        keys = self._keys
        if keys is not None and (keys.is_wrong_installation or (is_unknown and not keys.is_current)):
            await answer_text(scope, send, 503, b"This link cannot be checked now.\n", (b"retry-after", RETRY_AFTER_S))
        else:
            await answer_not_found(scope, send)

    async def _open(self, token: TrackingToken, scope: Scope, _: Receive, send: Send) -> None:
        if scope["method"] == "GET":
            await self._record(token, scope)
        await answer(scope, send, 200, PIXEL_HEADERS, PIXEL)

    async def _click(self, token: TrackingToken, scope: Scope, _: Receive, send: Send) -> None:
        location = location_of(token.target)
        if location is None:
            await answer_not_found(scope, send)
            return
        if scope["method"] == "GET":
            await self._record(token, scope)
        await answer(scope, send, 302, [(b"location", location), *REDIRECT_HEADERS], b"")

    async def _unsubscribe(self, token: TrackingToken, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != "POST":
            await answer_page(scope, send, 200, ASK_PAGE)
            return
        body = await _read_body(receive)
        if body is None:
            await answer_text(scope, send, 413, b"The body of the request is too long.\n")
        elif not asks_to_unsubscribe(body, _content_type(scope)):
            await answer_page(scope, send, 400, ASK_PAGE)
        else:
            await self._record(token, scope)
            await answer_page(scope, send, 200, DONE_PAGE)

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


def _content_type(scope: Scope) -> bytes:
    return next((value for name, value in scope["headers"] if name == b"content-type"), b"")


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

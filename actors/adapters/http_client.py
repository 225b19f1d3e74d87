"""HTTP client for handlers: POSTs over kept-alive connections, and GETs of verification files."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence
from typing import Final, NamedTuple
from urllib.parse import SplitResult

from actors.adapters.http_connection import HttpConnection
from actors.adapters.http_connector import Connector, Origin
from actors.adapters.http_file import FileResponseParser, HttpFile
from actors.adapters.http_response import ExchangeFailed, ResponseParser, StaleConnection
from actors.adapters.resolver import HandlerResolver
from actors.ports import HttpRequest, HttpResponse
from domain.values import HandlerUrl

CONNECT_TIMEOUT_S: Final = 5.0
IDLE_S: Final = 30.0
#: A connection this old is not reused, so that a handler that moves to another address is followed even under load.
MAX_AGE_S: Final = 300.0
MAX_IDLE: Final = 1024
MAX_TARGETS: Final = 4096
_LOST: Final = "the connection was lost as soon as it was made"


class _Pool:
    """The idle connections to one origin. The last one used is used again first."""

    __slots__ = ("idle", "origin")

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.idle: list[HttpConnection] = []


class _Target(NamedTuple):
    """Cached data for POSTs to one URL."""

    pool: _Pool
    #: The first lines of the request, the same for every POST to the URL.
    head: str


class PinnedHttpClient:
    """`HttpClient` on a lean HTTP/1.1 implementation (docs/adr/0003: measured against aiohttp and httpx).

    Connects only to addresses that the resolver permits, follows no redirects, keeps no cookies, and neither requests
    nor decodes compression. Idle connections are kept for `IDLE_S`; there are as many as there were concurrent POSTs.
    """

    def __init__(self, resolver: HandlerResolver, tls: ssl.SSLContext | None = None) -> None:
        self._connector = Connector(resolver, tls)
        self._targets: dict[str, _Target] = {}
        self._pools: dict[Origin, _Pool] = {}
        self._idle_count = 0

    async def post(self, request: HttpRequest) -> HttpResponse:
        """Sends one request and reads its response. A failed exchange is a response with an `error`.

        Raises:
            ValueError: the request itself cannot be sent: a header holds a line break, or the URL is invalid.
        """
        begun_s = time.perf_counter()
        target = self._targets.get(request.url) or self._target(request.url)
        data = _encode(target.head, request.headers, request.body)
        ends_s = asyncio.get_running_loop().time() + request.timeout_s
        try:
            connection = await self._exchange(target.pool, data, ends_s, request.timeout_s)
        except ExchangeFailed as exc:
            duration_s = time.perf_counter() - begun_s
            return HttpResponse(None, exc.code, str(exc), exc.raw_start, None, exc.address, duration_s)
        return connection.parser.response(connection.address, time.perf_counter() - begun_s)

    async def get_file(
        self, url: str, headers: Sequence[tuple[str, str]], timeout_s: float, max_bytes: int
    ) -> HttpFile:
        """GETs a file over a new connection, which is closed afterwards. `timeout_s` covers all of it.

        Reads just over `max_bytes` of the body.

        Raises:
            ExchangeFailed: there is no response.
            ValueError: the request itself cannot be sent.
        """
        parts = HandlerUrl(url).parts
        data = _encode(_first_lines("GET", url, parts), headers, None)
        ends_s = asyncio.get_running_loop().time() + timeout_s
        parser = FileResponseParser(max_bytes)
        connection = await self._connector.connect(_origin(parts), parser, ends_s)
        try:
            await connection.exchange(data, ends_s, timeout_s)
        except StaleConnection as exc:
            raise ExchangeFailed("disconnect", _LOST, connection.address) from exc
        finally:
            connection.abort()
        return parser.file()

    async def close(self) -> None:
        """Closes every connection; pending exchanges end as `disconnect`."""
        self._connector.close()

    def _target(self, url: str) -> _Target:
        parts = HandlerUrl(url).parts
        head = f"{_first_lines('POST', url, parts)}Accept: */*\r\nAccept-Encoding: identity\r\n"
        if len(self._targets) >= MAX_TARGETS:
            self._forget_targets()
        origin = _origin(parts)
        target = self._targets[url] = _Target(self._pools.setdefault(origin, _Pool(origin)), head)
        return target

    def _forget_targets(self) -> None:
        self._targets.clear()
        self._pools = {origin: pool for origin, pool in self._pools.items() if pool.idle}

    async def _exchange(self, pool: _Pool, data: bytes, ends_s: float, timeout_s: float) -> HttpConnection:
        """The connection whose parser has the response."""
        connection = self._take_idle(pool)
        if connection is not None:
            try:
                await connection.exchange(data, ends_s, timeout_s)
            except StaleConnection:
                connection = None
        if connection is None:
            until_s = min(ends_s, asyncio.get_running_loop().time() + CONNECT_TIMEOUT_S)
            connection = await self._connector.connect(pool.origin, ResponseParser(), until_s)
            try:
                await connection.exchange(data, ends_s, timeout_s)
            except StaleConnection as exc:
                raise ExchangeFailed("disconnect", _LOST, connection.address) from exc
        if connection.is_reusable:
            self._keep(pool, connection)
        return connection

    def _take_idle(self, pool: _Pool) -> HttpConnection | None:
        while pool.idle:
            connection = pool.idle.pop()
            self._idle_count -= 1
            if connection.is_reusable:
                return connection
        return None

    def _keep(self, pool: _Pool, connection: HttpConnection) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._idle_count >= MAX_IDLE or now_s - connection.opened_s > MAX_AGE_S:
            connection.abort()
            return
        self._idle_count += 1
        pool.idle.append(connection)
        connection.end_at(now_s + IDLE_S)


def host_header(url: str) -> str:
    """The Host header of a request to `url` (RFC 9110 7.2)."""
    parts = HandlerUrl(url).parts
    host = parts.hostname or ""
    name = f"[{host}]" if ":" in host else host
    return name if parts.port in {None, 443 if parts.scheme == "https" else 80} else f"{name}:{parts.port}"


def _origin(parts: SplitResult) -> Origin:
    is_tls = parts.scheme == "https"
    return Origin(parts.hostname or "", parts.port or (443 if is_tls else 80), is_tls)


def _first_lines(method: str, url: str, parts: SplitResult) -> str:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return f"{method} {path} HTTP/1.1\r\nHost: {host_header(url)}\r\n"


def _encode(head: str, headers: Sequence[tuple[str, str]], body: bytes | None) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    # Counted rather than searched: a line break in a value would add a header (RFC 9110 5.5).
    if not lines.count("\r") == lines.count("\n") == len(headers) or "\0" in lines:
        raise ValueError("a header's name or value holds a line break or a NUL")
    if body is None:
        return f"{head}{lines}\r\n".encode("latin-1")
    return f"{head}{lines}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body

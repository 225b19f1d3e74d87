"""The way out: POSTs to handlers over kept-alive connections that are pinned to checked addresses."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from actors.adapters.http_connection import HttpConnection
from actors.adapters.http_response import Broken, ParsedResponse, Stale
from actors.adapters.resolver import AddressNotAllowed, HandlerResolver, NameNotResolved
from actors.ports import HttpRequest, HttpResponse
from domain.values import HandlerUrl

CONNECT_TIMEOUT_S: Final = 5.0
IDLE_S: Final = 30.0
#: A handler that moved is followed, however busy the way to its old address is.
MAX_AGE_S: Final = 300.0
MAX_IDLE: Final = 1024
MAX_TARGETS: Final = 4096


class _Origin:
    """One (scheme, host, port), and the connections to it that rest. The last one used is used again first."""

    __slots__ = ("host", "idle", "is_tls", "port")

    def __init__(self, host: str, port: int, *, is_tls: bool) -> None:
        self.host = host
        self.port = port
        self.is_tls = is_tls
        self.idle: list[HttpConnection] = []


class _Target(NamedTuple):
    """A URL taken apart."""

    origin: _Origin
    #: The request's first lines, which are the same for every POST to it.
    head: str


class PinnedHttpClient:
    """`HttpClient` on a lean HTTP/1.1 client of our own (docs/adr/0003: measured against aiohttp and httpx).

    Connects to addresses that the resolver permits and to nothing else, follows no redirect, keeps no cookie, asks for
    no compression and undoes none. A bad handler is an answer with an `error`, never an exception. Connections are kept
    for `IDLE_S` between uses, one for each POST that was under way at the same time.
    """

    def __init__(self, resolver: HandlerResolver, tls: ssl.SSLContext | None = None) -> None:
        self._resolver = resolver
        self._tls = tls or ssl.create_default_context()
        self._targets: dict[str, _Target] = {}
        self._origins: dict[tuple[str, str, int], _Origin] = {}
        self._connections: set[HttpConnection] = set()
        self._idle_count = 0

    async def post(self, request: HttpRequest) -> HttpResponse:
        """Sends one request and reads its answer.

        Raises:
            ValueError: the request itself cannot be sent: a header holds a line break, the URL is none.
        """
        begun_s = time.perf_counter()
        target = self._targets.get(request.url) or self._target(request.url)
        data = _encode(target.head, request.headers, request.body)
        ends_s = asyncio.get_running_loop().time() + request.timeout_s
        try:
            answer, address = await self._exchange(target.origin, data, ends_s, request.timeout_s)
        except Broken as exc:
            duration_s = time.perf_counter() - begun_s
            return HttpResponse(None, exc.word, str(exc), exc.raw_start, None, exc.address, duration_s)
        status, body_start, retry_after, body_bytes, head = answer
        duration_s = time.perf_counter() - begun_s
        return HttpResponse(status, None, "", body_start, retry_after, address, duration_s, body_bytes, head)

    async def close(self) -> None:
        """Closes every connection; exchanges under way end as `disconnect`."""
        for connection in list(self._connections):
            connection.abort()

    def _target(self, url: str) -> _Target:
        parts = HandlerUrl(url).parts
        is_tls = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if is_tls else 80)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        head = f"POST {path} HTTP/1.1\r\nHost: {host_header(url)}\r\nAccept: */*\r\nAccept-Encoding: identity\r\n"
        if len(self._targets) >= MAX_TARGETS:
            self._forget_targets()
        origin = self._origins.setdefault((parts.scheme, host, port), _Origin(host, port, is_tls=is_tls))
        target = self._targets[url] = _Target(origin, head)
        return target

    def _forget_targets(self) -> None:
        self._targets.clear()
        self._origins = {key: origin for key, origin in self._origins.items() if origin.idle}

    async def _exchange(
        self, origin: _Origin, data: bytes, ends_s: float, timeout_s: float
    ) -> tuple[ParsedResponse, str | None]:
        connection = self._take_idle(origin)
        if connection is not None:
            try:
                answer = await connection.exchange(data, ends_s, timeout_s)
            except Stale:
                connection = None
        if connection is None:
            connection = await self._connect(origin, ends_s, timeout_s)
            try:
                answer = await connection.exchange(data, ends_s, timeout_s)
            except Stale as exc:
                detail = "the connection was lost as soon as it was made"
                raise Broken("disconnect", detail, connection.address) from exc
        if connection.is_reusable:
            self._keep(origin, connection)
        return answer, connection.address

    def _take_idle(self, origin: _Origin) -> HttpConnection | None:
        while origin.idle:
            connection = origin.idle.pop()
            self._idle_count -= 1
            if connection.is_reusable:
                return connection
        return None

    def _keep(self, origin: _Origin, connection: HttpConnection) -> None:
        now_s = asyncio.get_running_loop().time()
        if self._idle_count >= MAX_IDLE or now_s - connection.opened_s > MAX_AGE_S:
            connection.abort()
            return
        self._idle_count += 1
        origin.idle.append(connection)
        connection.rest(now_s + IDLE_S)

    async def _connect(self, origin: _Origin, ends_s: float, timeout_s: float) -> HttpConnection:
        """A fresh connection to one of the permitted addresses. Those that do not answer share the time."""
        until_s = min(ends_s, asyncio.get_running_loop().time() + CONNECT_TIMEOUT_S)
        addresses = await self._addresses(origin.host, until_s)
        trouble = Broken("timeout", f"no connection could be made within {timeout_s:g} s")
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            now_s = asyncio.get_running_loop().time()
            if now_s >= until_s:
                break
            try:
                return await self._connect_to(origin, address, now_s + (until_s - now_s) / left)
            except Broken as exc:
                trouble = exc
        raise trouble

    async def _addresses(self, host: str, until_s: float) -> list[str]:
        try:
            async with asyncio.timeout_at(until_s):
                return await self._resolver.addresses(host)
        except AddressNotAllowed as exc:
            raise Broken("address", str(exc)) from exc
        except NameNotResolved as exc:
            raise Broken("dns", str(exc)) from exc
        except TimeoutError as exc:
            raise Broken("dns", f"{host} did not resolve in time") from exc

    async def _connect_to(self, origin: _Origin, address: str, until_s: float) -> HttpConnection:
        connection = HttpConnection(asyncio.get_running_loop(), address, self._connections.discard)
        where = f"{address} port {origin.port}"
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        missing = "connection to"
        try:
            async with asyncio.timeout_at(until_s):
                await _connect_socket(sock, address, origin.port)
                missing = "TLS with"
                await self._begin(origin, connection, sock)
        except TimeoutError as exc:
            raise Broken("timeout", f"no {missing} {where} in time", address) from exc
        except ssl.SSLError as exc:
            raise Broken("tls", f"no TLS with {where}: {_tls_reason(exc)}", address) from exc
        except OSError as exc:
            raise Broken("connect", f"no {missing} {where}: {exc.strerror or exc}", address) from exc
        self._connections.add(connection)
        return connection

    async def _begin(self, origin: _Origin, connection: HttpConnection, sock: socket.socket) -> None:
        """Hands a connected socket over, after the TLS handshake if there is one."""
        tls = self._tls if origin.is_tls else None
        name = origin.host.rstrip(".") if origin.is_tls else None
        with _closed_on_failure(sock):
            loop = asyncio.get_running_loop()
            await loop.create_connection(lambda: connection, sock=sock, ssl=tls, server_hostname=name)


async def _connect_socket(sock: socket.socket, address: str, port: int) -> None:
    with _closed_on_failure(sock):
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (address, port))


@contextlib.contextmanager
def _closed_on_failure(sock: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        sock.close()
        raise


def host_header(url: str) -> str:
    """The Host header of a POST to `url` (RFC 9110 7.2), as signatures cover it."""
    parts = HandlerUrl(url).parts
    host = parts.hostname or ""
    name = f"[{host}]" if ":" in host else host
    return name if parts.port in {None, 443 if parts.scheme == "https" else 80} else f"{name}:{parts.port}"


def _encode(head: str, headers: Sequence[tuple[str, str]], body: bytes) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    # Counted, not searched: a line break in a value would make a header more (RFC 9110 5.5).
    if not lines.count("\r") == lines.count("\n") == len(headers) or "\0" in lines:
        raise ValueError("a header's name or value holds a line break or a NUL")
    return f"{head}{lines}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


def _tls_reason(exc: ssl.SSLError) -> str:
    return exc.verify_message if isinstance(exc, ssl.SSLCertVerificationError) else (exc.reason or str(exc))

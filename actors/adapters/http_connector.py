"""Connector: opens connections to the addresses that the resolver permits, and to no others (I6)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator
from typing import NamedTuple

from actors.adapters.http_connection import HttpConnection
from actors.adapters.http_response import ExchangeFailed, ResponseParser
from actors.adapters.resolver import AddressNotAllowed, HandlerResolver, NameNotResolved


class Origin(NamedTuple):
    """Where a URL connects to."""

    host: str
    port: int
    is_tls: bool


class Connector:
    """Opens connections for deliveries and for verification alike, and knows the open ones."""

    def __init__(self, resolver: HandlerResolver, tls: ssl.SSLContext | None = None) -> None:
        self._resolver = resolver
        self._tls = tls or ssl.create_default_context()
        self.connections: set[HttpConnection] = set()

    async def connect(self, origin: Origin, parser: ResponseParser, until_s: float, timeout_s: float) -> HttpConnection:
        """A new connection, at loop time `until_s` at the latest. Addresses that do not answer share the time.

        `timeout_s` is for the error text.

        Raises:
            ExchangeFailed: no permitted address could be connected to.
        """
        addresses = await self._addresses(origin.host, until_s)
        failure = ExchangeFailed("timeout", f"no connection could be made within {timeout_s:g} s")
        for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
            now_s = asyncio.get_running_loop().time()
            if now_s >= until_s:
                break
            try:
                return await self._connect_to(origin, address, parser, now_s + (until_s - now_s) / left)
            except ExchangeFailed as exc:
                failure = exc
        raise failure

    def close(self) -> None:
        """Closes every connection."""
        for connection in list(self.connections):
            connection.abort()

    async def _addresses(self, host: str, until_s: float) -> list[str]:
        try:
            async with asyncio.timeout_at(until_s):
                return await self._resolver.addresses(host)
        except AddressNotAllowed as exc:
            raise ExchangeFailed("address", str(exc)) from exc
        except NameNotResolved as exc:
            raise ExchangeFailed("dns", str(exc)) from exc
        except TimeoutError as exc:
            raise ExchangeFailed("dns", f"{host} did not resolve in time") from exc

    async def _connect_to(self, origin: Origin, address: str, parser: ResponseParser, until_s: float) -> HttpConnection:
        connection = HttpConnection(asyncio.get_running_loop(), address, parser, self.connections.discard)
        where = f"{address} port {origin.port}"
        sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        missing = "connection to"
        try:
            async with asyncio.timeout_at(until_s):
                await _connect_socket(sock, address, origin.port)
                missing = "TLS with"
                await self._hand_over(sock, origin, connection)
        except TimeoutError as exc:
            raise ExchangeFailed("timeout", f"no {missing} {where} in time", address) from exc
        except ssl.SSLError as exc:
            raise ExchangeFailed("tls", f"no TLS with {where}: {_tls_reason(exc)}", address) from exc
        except OSError as exc:
            raise ExchangeFailed("connect", f"no {missing} {where}: {exc.strerror or exc}", address) from exc
        self.connections.add(connection)
        return connection

    async def _hand_over(self, sock: socket.socket, origin: Origin, connection: HttpConnection) -> None:
        """Hands the connected socket to the event loop, after the TLS handshake if there is one."""
        tls = self._tls if origin.is_tls else None
        # Names in certificates do not end with a dot.
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


def _tls_reason(exc: ssl.SSLError) -> str:
    return exc.verify_message if isinstance(exc, ssl.SSLCertVerificationError) else (exc.reason or str(exc))

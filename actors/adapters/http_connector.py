"""Connector: opens connections to the addresses that the resolver permits, and to no others (I6)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from actors.adapters.http_connection import HttpConnection
from actors.adapters.http_response import ExchangeFailed, ResponseParser
from actors.adapters.resolver import AddressNotAllowed, HandlerResolver, NameNotResolved

#: OpenSSL's codes for certificates that no trusted authority has signed: X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT,
#: …_DEPTH_ZERO_SELF_SIGNED_CERT, …_SELF_SIGNED_CERT_IN_CHAIN, …_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
#: …_UNABLE_TO_VERIFY_LEAF_SIGNATURE.
_UNKNOWN_AUTHORITY: Final = frozenset({2, 18, 19, 20, 21})


class Origin(NamedTuple):
    """Where a URL connects to."""

    host: str
    port: int
    is_tls: bool


#: How long an attempt to connect may take until the next address is tried as well (RFC 8305 recommends this).
STAGGER_S: Final = 0.25


class Connector:
    """Opens connections for deliveries and for verification alike, and knows the open ones."""

    def __init__(self, resolver: HandlerResolver, tls: ssl.SSLContext | None = None) -> None:
        self._resolver = resolver
        self._tls = tls or tls_context()
        self.connections: set[HttpConnection] = set()

    async def connect(self, origin: Origin, parser: ResponseParser, until_s: float) -> HttpConnection:
        """A new connection, at loop time `until_s` at the latest, to the first address that answers.

        Raises:
            ExchangeFailed: no permitted address could be connected to.
        """
        addresses = await self._addresses(origin.host, until_s)
        if len(addresses) == 1:
            return await self._connect_to(origin, addresses[0], parser, until_s)
        return await self._race(origin, addresses, parser, until_s)

    async def _race(
        self, origin: Origin, addresses: Sequence[str], parser: ResponseParser, until_s: float
    ) -> HttpConnection:
        """The first attempt that succeeds. One starts when another fails, or does not succeed soon (RFC 8305 5).

        So an address that drops packets only costs a moment.
        """
        stagger_s = min(STAGGER_S, (until_s - asyncio.get_running_loop().time()) / (2 * len(addresses)))
        missing, started = list(reversed(addresses)), set[asyncio.Task[HttpConnection]]()
        pending, failures = started, list[BaseException]()
        try:
            while missing or pending:
                if missing:
                    attempt = asyncio.create_task(self._connect_to(origin, missing.pop(), parser, until_s))
                    started.add(attempt)
                    pending = pending | {attempt}
                wait_s = max(stagger_s, 0.0) if missing else None
                done, pending = await asyncio.wait(pending, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                for attempt in done:
                    if (failure := attempt.exception()) is None:
                        started.discard(attempt)
                        return attempt.result()
                    failures.append(failure)
        finally:
            for attempt in started:
                attempt.cancel()
                attempt.add_done_callback(_abort)
        # Any reason is more helpful than that time ran out.
        raise next((exc for exc in failures if getattr(exc, "code", "") != "timeout"), failures[-1])

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


def _abort(attempt: asyncio.Task[HttpConnection]) -> None:
    """Closes the connection of an attempt that came too late."""
    if not attempt.cancelled() and attempt.exception() is None:
        attempt.result().abort()


@contextlib.contextmanager
def _closed_on_failure(sock: socket.socket) -> Iterator[None]:
    try:
        yield
    except BaseException:
        sock.close()
        raise


def _tls_reason(exc: ssl.SSLError) -> str:
    if not isinstance(exc, ssl.SSLCertVerificationError):
        return exc.reason or str(exc)
    hint = " (--handler-ca-file adds private authorities)" if exc.verify_code in _UNKNOWN_AUTHORITY else ""
    return exc.verify_message + hint


def tls_context(more_authorities: str | None = None) -> ssl.SSLContext:
    """Trusts the public certificate authorities, and those in `more_authorities` (PEM)."""
    context = ssl.create_default_context()
    if more_authorities is not None:
        context.load_verify_locations(cadata=more_authorities)
    return context

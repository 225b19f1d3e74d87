"""Looking for the proof that a server is its owner's: a file over HTTP, or a DNS record."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final

import dns.asyncresolver
import dns.exception
import dns.resolver
import httpcore
import httpx
from dns.rdtypes.ANY.TXT import TXT

from actors.adapters.resolver import HandlerResolver, ResolveError
from actors.ports import Fetched
from actors.user_agent import USER_AGENT
from domain.verification import MAX_CONTENT_BYTES

TIMEOUT_S: Final = 10.0
#: More records than these on one name prove nothing, and fill a report.
MAX_RECORDS: Final = 20


class HttpProver:
    """`Prover` on httpx and dnspython. Connects to permitted addresses alone (I6), each time anew."""

    def __init__(
        self,
        resolver: HandlerResolver,
        nameserver: str | None = None,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """`nameserver` is `host:port` with a literal address; None for the system's own."""
        self._timeout_s = timeout_s
        self._names = _stub_resolver(nameserver, timeout_s)
        self._client = httpx.AsyncClient(
            transport=_PinnedTransport(resolver, tls or ssl.create_default_context()),
            trust_env=False,
            follow_redirects=False,
            timeout=timeout_s,
            headers={"User-Agent": USER_AGENT, "Accept": "text/plain, */*", "Accept-Encoding": "identity"},
        )

    async def fetch_file(self, url: str) -> Fetched:
        """GETs `url` without following redirects; only a 200 has a body. Never raises."""
        try:
            async with asyncio.timeout(self._timeout_s), self._client.stream("GET", url) as answer:
                if answer.status_code != HTTPStatus.OK:
                    return Fetched(None, _status_sentence(answer))
                body = await _read_start(answer)
        except (TimeoutError, httpx.TimeoutException):
            return Fetched(None, f"no answer came within {self._timeout_s:g} s")
        except ResolveError as exc:
            return Fetched(None, str(exc))
        except (httpx.HTTPError, httpx.InvalidURL, httpcore.ConnectError, ssl.SSLError, OSError, ValueError) as exc:
            return Fetched(None, _failure_sentence(exc))
        finally:
            # What one server sets must not be sent to it, or to a neighbour of it, the next time.
            self._client.cookies.clear()
        return Fetched(body, _body_sentence(body))

    async def fetch_txt(self, name: str) -> list[Fetched]:
        """One entry for each TXT record of the name, or a single one without body. Never raises."""
        try:
            answer = await self._names.resolve(name, "TXT", search=False)
        except dns.resolver.NXDOMAIN:
            return [Fetched(None, f"the name {name} does not exist")]
        except dns.resolver.NoAnswer:
            return [Fetched(None, f"the name {name} has no TXT record")]
        except dns.resolver.LifetimeTimeout:
            return [Fetched(None, f"the name servers did not answer within {self._timeout_s:g} s")]
        except (dns.exception.DNSException, OSError, UnicodeError) as exc:
            return [Fetched(None, f"the name {name} could not be looked up: {exc}")]
        return [_record(rdata) for rdata in list(answer)[:MAX_RECORDS]]

    async def close(self) -> None:
        """Closes its connections."""
        await self._client.aclose()


class _PinnedTransport(httpx.AsyncHTTPTransport):
    """httpx's own transport, but for who resolves the names."""

    def __init__(self, resolver: HandlerResolver, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls, trust_env=False)
        # httpx has no parameter for it; its pool is httpcore's, which has.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls, max_keepalive_connections=0, network_backend=_PinnedBackend(resolver)
        )


class _PinnedBackend(httpcore.AsyncNetworkBackend):
    """Connects to an address that the resolver permits, never to a name."""

    def __init__(self, resolver: HandlerResolver) -> None:
        self._resolver = resolver
        self._backend = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109  httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        *others, last = await self._resolver.addresses(host)
        for address in others:
            try:
                return await self._backend.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await self._backend.connect_tcp(last, port, timeout, local_address, socket_options)

    async def connect_unix_socket(self, *_args: Any, **_kwargs: Any) -> httpcore.AsyncNetworkStream:
        raise httpcore.ConnectError("a handler is not at a Unix socket")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _stub_resolver(nameserver: str | None, timeout_s: float) -> dns.asyncresolver.Resolver:
    names = dns.asyncresolver.Resolver(configure=nameserver is None)
    names.lifetime = timeout_s
    if nameserver is not None:
        host, _, port = nameserver.rpartition(":")
        names.nameservers = [host.strip("[]")]
        names.port = int(port)
    return names


async def _read_start(answer: httpx.Response) -> bytes:
    """The first bytes of a body, as they are; one more than may be, to tell what is too long."""
    body = b""
    async for piece in answer.aiter_raw():
        body += piece
        if len(body) > MAX_CONTENT_BYTES:
            break
    return body[: MAX_CONTENT_BYTES + 1]


def _record(rdata: Any) -> Fetched:
    if not isinstance(rdata, TXT):
        return Fetched(None, "a record that is no TXT record")
    text = b"".join(rdata.strings)[: MAX_CONTENT_BYTES + 1]
    return Fetched(text, f"a TXT record: {_shown(text)}")


def _status_sentence(answer: httpx.Response) -> str:
    status = f"{answer.status_code} {answer.reason_phrase}".strip()[:100]
    if answer.is_redirect:
        return f"{status}: a redirect to {_shown(answer.headers['location'].encode())}, and redirects are not followed"
    return status


def _body_sentence(body: bytes) -> str:
    if len(body) > MAX_CONTENT_BYTES:
        return f"a file of more than {MAX_CONTENT_BYTES} bytes"
    return f"a file: {_shown(body)}" if body.strip() else "an empty file"


def _shown(content: bytes) -> str:
    """The start of what a stranger's server sent, on one line and harmless."""
    text = " ".join(content[:400].decode("utf-8", "replace").split())
    text = "".join(c if c.isprintable() else "�" for c in text)
    return f'"{text[:100]}…"' if len(text) > 100 else f'"{text}"'


def _failure_sentence(exc: Exception) -> str:
    if isinstance(exc, httpx.ConnectError | httpcore.ConnectError):
        return f"no connection could be made: {exc or 'refused'}"
    if isinstance(exc, httpx.InvalidURL):
        return f"the URL cannot be asked for: {exc}"
    if isinstance(exc, httpx.RemoteProtocolError):
        return f"the answer is not HTTP: {exc}"
    return f"the connection broke: {exc or type(exc).__name__}"

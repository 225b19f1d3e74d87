"""Looking for the proof that a server is its owner's: a file over HTTP, or a DNS record."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import urlsplit

import dns.asyncresolver
import dns.exception
import dns.resolver
import httpcore
from dns.rdtypes.ANY.TXT import TXT

from actors.adapters.http_client import host_header
from actors.adapters.resolver import HandlerResolver, ResolveError
from actors.ports import FetchedProof
from actors.version import USER_AGENT
from domain.verification import MAX_CONTENT_BYTES

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 10.0
#: More records than these on one name prove nothing, and fill a report.
MAX_RECORDS: Final = 20
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_UNEXPECTED: Final = "it could not be looked for: an unexpected error, which was logged"


class PinnedProofFetcher:
    """`ProofFetcher` on httpcore and dnspython. Connects to permitted addresses alone (I6), each time anew.

    A URL is asked for just as deliveries ask for it: hosts that other clients find ill-formed are looked up like any.
    """

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
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls or ssl.create_default_context(),
            max_keepalive_connections=0,
            network_backend=_PinnedBackend(resolver),
        )

    async def fetch_file(self, url: str) -> FetchedProof:
        """GETs `url` without following redirects; only a 200 has a body. Never raises."""
        return (await self.reach(url))[1]

    async def reach(self, url: str) -> tuple[bool, FetchedProof]:
        """As `fetch_file`, and before it whether a server answered over HTTP at all, whatever it said."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return True, await self._fetch(url)
        except (TimeoutError, httpcore.TimeoutException):
            return False, FetchedProof(None, f"no answer came within {self._timeout_s:g} s")
        except ResolveError as exc:
            return False, FetchedProof(None, str(exc))
        except (httpcore.NetworkError, httpcore.ProtocolError, OSError) as exc:
            return False, FetchedProof(None, _failure_sentence(exc))
        except Exception:
            facts = {"action": "proof_failed", "host": urlsplit(url).hostname}
            log.exception("a verification file could not be asked for", extra=facts)
            return False, FetchedProof(None, _UNEXPECTED)

    async def _fetch(self, url: str) -> FetchedProof:
        async with self._pool.stream(**_request(url)) as answer:
            if answer.status != HTTPStatus.OK:
                return FetchedProof(None, _status_sentence(answer))
            body = await _read_start(answer)
        return FetchedProof(body, _body_sentence(body))

    async def fetch_txt(self, name: str) -> list[FetchedProof]:
        """One entry for each TXT record of the name, or a single one without body. Never raises."""
        try:
            answer = await self._names.resolve(name, "TXT", search=False)
        except dns.resolver.NXDOMAIN:
            return [FetchedProof(None, f"the name {name} does not exist")]
        except dns.resolver.NoAnswer:
            return [FetchedProof(None, f"the name {name} has no TXT record")]
        except dns.resolver.LifetimeTimeout:
            return [FetchedProof(None, f"the name servers did not answer within {self._timeout_s:g} s")]
        except (dns.exception.DNSException, OSError, UnicodeError) as exc:
            return [FetchedProof(None, f"the name {name} could not be looked up: {exc}")]
        except Exception:
            log.exception("a TXT record could not be asked for", extra={"action": "proof_failed", "host": name})
            return [FetchedProof(None, _UNEXPECTED)]
        return [_record(rdata) for rdata in list(answer)[:MAX_RECORDS]]

    async def close(self) -> None:
        """Closes its connections."""
        await self._pool.aclose()


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


def _request(url: str) -> dict[str, Any]:
    """The arguments of httpcore's `stream`: host and target go as they are, without a client's ideas of them."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return {
        "method": "GET",
        "url": httpcore.URL(scheme=parts.scheme.encode(), host=host.encode(), port=parts.port, target=target.encode()),
        "headers": {
            "Host": host_header(f"{parts.scheme}://{parts.netloc}"),
            "User-Agent": USER_AGENT,
            "Accept": "text/plain, */*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        },
        # Certificates have no names with a dot at the end.
        "extensions": {"sni_hostname": host.rstrip(".")},
    }


async def _read_start(answer: httpcore.Response) -> bytes:
    """The first bytes of a body, as they are; one more than may be, to tell what is too long."""
    body = b""
    async for piece in answer.aiter_stream():
        body += piece
        if len(body) > MAX_CONTENT_BYTES:
            break
    return body[: MAX_CONTENT_BYTES + 1]


def _record(rdata: Any) -> FetchedProof:
    if not isinstance(rdata, TXT):
        return FetchedProof(None, "a record that is no TXT record")
    text = b"".join(rdata.strings)[: MAX_CONTENT_BYTES + 1]
    return FetchedProof(text, f"a TXT record: {_shown(text)}")


def _status_sentence(answer: httpcore.Response) -> str:
    status = f"{answer.status} {_harmless(answer.extensions.get('reason_phrase', b''))}".strip()[:100]
    location = next((value for name, value in answer.headers if name.lower() == b"location"), None)
    if answer.status in _REDIRECTS and location is not None:
        return f"{status}: a redirect to {_shown(location)}, and redirects are not followed"
    return status


def _body_sentence(body: bytes) -> str:
    if len(body) > MAX_CONTENT_BYTES:
        return f"a file of more than {MAX_CONTENT_BYTES} bytes"
    return f"a file: {_shown(body)}" if body.strip() else "an empty file"


def _shown(content: bytes) -> str:
    """The start of what a stranger's server sent, in quotes."""
    text = _harmless(content[:400])
    return f'"{text[:100]}…"' if len(text) > 100 else f'"{text}"'


def _harmless(content: bytes) -> str:
    """What a stranger's server sent as text on one line, without what steers a terminal."""
    text = " ".join(content.decode("utf-8", "replace").split())
    return "".join(c if c.isprintable() else "�" for c in text)


def _failure_sentence(exc: Exception) -> str:
    reason = _harmless(str(exc).encode())[:200]
    if isinstance(exc, httpcore.ConnectError):
        return f"no connection could be made: {reason or 'refused'}"
    if isinstance(exc, httpcore.RemoteProtocolError):
        return f"the answer is not HTTP: {reason}"
    return f"the connection broke: {reason or type(exc).__name__}"

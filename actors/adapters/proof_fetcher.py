"""Proof fetcher: gets the file or the DNS records that prove the ownership of a server, and describes them."""

from __future__ import annotations

import logging
from typing import Any, Final
from urllib.parse import urlsplit

import dns.asyncresolver
import dns.exception
import dns.resolver
from dns.rdtypes.ANY.TXT import TXT

from actors.adapters.http_client import PinnedHttpClient
from actors.adapters.http_file import HttpFile
from actors.adapters.http_response import ExchangeFailed
from actors.ports import FetchedProof
from actors.version import USER_AGENT
from domain.verification import MAX_CONTENT_BYTES

log = logging.getLogger(__name__)

TIMEOUT_S: Final = 10.0
#: More TXT records than this on one name prove nothing and would flood the findings.
MAX_RECORDS: Final = 20
_HEADERS: Final = (
    ("User-Agent", USER_AGENT),
    ("Accept", "text/plain, */*"),
    ("Accept-Encoding", "identity"),
    ("Connection", "close"),
)
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
#: How a file compressed with gzip begins, also where no header says so.
_GZIP: Final = b"\x1f\x8b"
_UNEXPECTED: Final = "the check failed with an unexpected error, which was logged"


class PinnedProofFetcher:
    """`ProofFetcher` on dnspython and on the HTTP client of deliveries: what passes can be delivered to."""

    def __init__(
        self, http_client: PinnedHttpClient, nameserver: str | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        """`nameserver` is `host:port` with a literal address; None for the system's."""
        self._http_client = http_client
        self._timeout_s = timeout_s
        self._names = stub_resolver(nameserver, timeout_s)

    async def fetch_file(self, url: str) -> FetchedProof:
        """GETs `url` without following redirects; only a 200 has a body. Never raises."""
        return (await self.probe(url))[1]

    async def probe(self, url: str) -> tuple[bool, FetchedProof]:
        """Like `fetch_file`; first, whether the server sent an HTTP response, whatever its status."""
        try:
            file = await self._http_client.get_file(url, _HEADERS, self._timeout_s, MAX_CONTENT_BYTES)
        except ExchangeFailed as exc:
            return False, FetchedProof(None, self._failure_sentence(exc))
        except Exception:
            facts = {"action": "proof_failed", "host": urlsplit(url).hostname}
            log.exception("unexpected error while fetching a verification file", extra=facts)
            return False, FetchedProof(None, _UNEXPECTED)
        return True, FetchedProof(file.body, _file_sentence(file))

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
            log.exception(
                "unexpected error while looking up TXT records", extra={"action": "proof_failed", "host": name}
            )
            return [FetchedProof(None, _UNEXPECTED)]
        return [_record(rdata) for rdata in list(answer)[:MAX_RECORDS]]

    def _failure_sentence(self, exc: ExchangeFailed) -> str:
        if exc.code == "timeout":
            return f"no answer arrived within {self._timeout_s:g} s"
        reason = _printable(str(exc).encode())[:200]
        return f"no connection could be made: {reason}" if exc.code in {"connect", "tls"} else reason


def stub_resolver(nameserver: str | None, timeout_s: float) -> dns.asyncresolver.Resolver:
    """A resolver that asks `nameserver` (`IP:PORT`), or the system's name servers if it is None."""
    names = dns.asyncresolver.Resolver(configure=nameserver is None)
    names.lifetime = timeout_s
    if nameserver is not None:
        host, _, port = nameserver.rpartition(":")
        names.nameservers = [host.strip("[]")]
        names.port = int(port)
    return names


def _record(rdata: Any) -> FetchedProof:
    if not isinstance(rdata, TXT):
        return FetchedProof(None, "a record that is not a TXT record")
    text = b"".join(rdata.strings)[: MAX_CONTENT_BYTES + 1]
    return FetchedProof(text, f"a TXT record: {_quoted(text)}")


def _file_sentence(file: HttpFile) -> str:
    if file.body is None:
        return _status_sentence(file)
    encodings = file.encodings or ((b"gzip",) if file.body.startswith(_GZIP) else ())
    if encodings and file.body.strip():
        name = _printable(b", ".join(encodings))[:100]
        return f"a file compressed with {name} although we asked for it uncompressed (switch compression off for it)"
    if len(file.body) > MAX_CONTENT_BYTES:
        return f"a file of more than {MAX_CONTENT_BYTES} bytes"
    return f"a file: {_quoted(file.body)}" if file.body.strip() else "an empty file"


def _status_sentence(file: HttpFile) -> str:
    status = f"{file.status} {_printable(file.reason)}".strip()[:100]
    if file.status in _REDIRECTS and file.location is not None:
        return f"{status}: a redirect to {_quoted(file.location)}, and redirects are not followed"
    return status


def _quoted(content: bytes) -> str:
    """The start of untrusted content, in quotes."""
    text = _printable(content[:400])
    return f'"{text[:100]}…"' if len(text) > 100 else f'"{text}"'


def _printable(content: bytes) -> str:
    """Untrusted content as text on one line, without control characters that would steer a terminal."""
    text = " ".join(content.decode("utf-8", "replace").split())
    return "".join(c if c.isprintable() else "�" for c in text)

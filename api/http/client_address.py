"""Client address of a request, with or without proxies."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

Header = tuple[bytes, bytes]
#: An address with a port, which may be obfuscated (`_a.b-c`), or an IPv6 address in brackets.
_WITH_PORT: Final = re.compile(r"\[([^\]]*)\](?::[\w.-]+)?|([0-9.]+):[\w.-]+", re.ASCII)
#: A quote that begins or ends a quoted string: it follows an even number of backslashes.
_QUOTE: Final = re.compile(r'(?<!\\)(?:\\\\)*+"')
#: A parameter of a `Forwarded` element, or nothing, with its separator. More lenient than RFC 7239: spaces may surround
#: its parts, and a value needs no quotes for `:`, `[` and `]`.
_PARAMETER: Final = re.compile(
    r"""[ \t]*+(?:([!#$%&'*+.^_`|~0-9A-Za-z-]++)[ \t]*+=[ \t]*+("(?:[^"\\]|\\.)*+"|[^ \t";]*+)[ \t]*+)?(?:;|\Z)"""
)


class ClientAddresses:
    """Finds the client of a request. Forwarding headers count only if the peer is in a trusted network.

    Entries are read from the right, from the trusted side; the first that is not a trusted proxy is the client. An
    entry that is not an address (`unknown`, `_hidden`) ends the search. `X-Forwarded-For`, which most proxies set,
    takes precedence over `Forwarded` (RFC 7239): a proxy should drop the one it does not set. If a header leads to no
    client, the other one is read. If neither does, the last known address counts.
    """

    def __init__(self, trusted_proxies: Sequence[IPv4Network | IPv6Network]) -> None:
        self._trusted = tuple(trusted_proxies)
        self._is_trusted = lru_cache(maxsize=4096)(self._look_up)

    def of(self, peer: str, headers: Iterable[Header]) -> str:
        """The client's address in canonical form. `peer` is the address of the connection; an empty one stays empty."""
        peer = canonical_address(peer) or peer
        if not self._trusted or not self._is_trusted(peer):
            return peer
        last_known = peer
        for entries in _forwarded_addresses(headers):
            client = peer
            for entry in entries:
                address = canonical_address(entry)
                if address is None:
                    break
                if not self._is_trusted(address):
                    return address
                client = address
            if last_known == peer:
                last_known = client
        return last_known

    def trusts(self, peer: str) -> bool:
        """Whether this peer is a trusted proxy."""
        return bool(self._trusted) and self._is_trusted(canonical_address(peer) or peer)

    def _look_up(self, address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(ip in network for network in self._trusted)


@lru_cache(maxsize=4096)
def canonical_address(text: str) -> str | None:
    """An IP address without port, brackets or zone, IPv4-mapped IPv6 as IPv4. None: not an address."""
    if match := _WITH_PORT.fullmatch(text):
        text = match[1] or match[2] or ""
    try:
        ip: IPv4Address | IPv6Address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return str(mapped or ip)


def _forwarded_addresses(headers: Iterable[Header]) -> tuple[Iterator[str], Iterator[str]]:
    """The entries of `X-Forwarded-For` and of `Forwarded`, each from right to left; their lines count as one list."""
    lines: dict[bytes, list[str]] = {b"x-forwarded-for": [], b"forwarded": []}
    for name, value in headers:
        if name in lines:
            lines[name].append(value.decode("latin-1"))
    entries = (
        stripped
        for line in reversed(lines[b"x-forwarded-for"])
        for entry in reversed(line.split(","))
        if (stripped := entry.strip(' \t"'))
    )
    elements = (_for_of(element) for line in reversed(lines[b"forwarded"]) for element in _elements(line))
    return entries, elements


def _elements(line: str) -> Iterator[str]:
    """The elements of a line of `Forwarded` that are not empty, from right to left.

    Reading from the right means that whatever a client sent, such as a quote without its end, cannot hide or change
    what a trusted proxy appended.
    """
    end = at = len(line)
    quotes = 0
    while at >= 0:
        comma = line.rfind(",", 0, at)
        quotes += len(_QUOTE.findall(line, comma + 1, at))
        if quotes % 2 == 0:
            if element := line[comma + 1 : end].strip(" \t"):
                yield element
            end, quotes = comma, 0
        at = comma
    if end >= 0:
        yield line[:end]


def _for_of(element: str) -> str:
    """The node in an element's `for`; empty if the element has none, has several or is malformed."""
    found, at = [], 0
    while at < len(element):
        parameter = _PARAMETER.match(element, at)
        if parameter is None:
            return ""
        if parameter[1] and parameter[1].lower() == "for":
            found.append(parameter[2])
        at = parameter.end()
    node = found[0] if len(found) == 1 else ""
    return re.sub(r"\\(.)", r"\1", node[1:-1]) if node.startswith('"') else node

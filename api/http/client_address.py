"""Client address of a request, with or without proxies."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

Header = tuple[bytes, bytes]
_FOR: Final = re.compile(r'(?:^|;)\s*for\s*=\s*("(?:[^"\\]|\\.)*"|[^;\s]*)', re.IGNORECASE)
_WITH_PORT: Final = re.compile(r"\[([^\]]*)\](?::\w+)?|([0-9.]+):\w+")


class ClientAddresses:
    """Finds the client of a request. Forwarding headers count only if the peer is in a trusted network.

    `X-Forwarded-For`, which most proxies set, takes precedence over `Forwarded` (RFC 7239): a proxy should drop the one
    it does not set. Entries are read from the right; the first that is not a trusted proxy is the client. An entry that
    is not an address (`unknown`, `_hidden`) ends the search at the last known address.
    """

    def __init__(self, trusted_proxies: Sequence[IPv4Network | IPv6Network]) -> None:
        self._trusted = tuple(trusted_proxies)
        self._is_trusted = lru_cache(maxsize=4096)(self._look_up)

    def of(self, peer: str, headers: Iterable[Header]) -> str:
        """The client's address in canonical form. `peer` is the address of the connection; an empty one stays empty."""
        client = canonical_address(peer) or peer
        if not self._trusted or not self._is_trusted(client):
            return client
        for entry in reversed(_forwarded_addresses(headers)):
            address = canonical_address(entry)
            if address is None:
                return client
            client = address
            if not self._is_trusted(address):
                return client
        return client

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


def _forwarded_addresses(headers: Iterable[Header]) -> list[str]:
    """The forwarded addresses in order; several headers of the same name count as one."""
    said: dict[bytes, list[str]] = {b"x-forwarded-for": [], b"forwarded": []}
    for name, value in headers:
        if name in said:
            said[name].append(value.decode("latin-1"))
    if said[b"x-forwarded-for"]:
        return [entry.strip() for entry in ",".join(said[b"x-forwarded-for"]).split(",")]
    if said[b"forwarded"]:
        return [_for_of(element) for element in ",".join(said[b"forwarded"]).split(",")]
    return []


def _for_of(element: str) -> str:
    match = _FOR.search(element)
    return match[1].strip('"') if match else ""

"""Policy on the addresses of handlers (I6): the public Internet, and networks that the operator has allowed.

Sources: the IANA special-purpose address registries (RFC 6890) and the metadata addresses that clouds document.
Python's own `is_global` is not used because its result differs between releases.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

from domain.errors import InvalidInput

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_BANNED_V4: Final = tuple(
    (IPv4Network(network), what)
    for network, what in (
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by carriers (CGNAT)"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's metadata service"),
        ("169.254.0.0/16", "link-local, where clouds have their metadata services"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
    )
)

_BANNED_V6: Final = tuple(
    (IPv6Network(network), what)
    for network, what in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::ffff:0:0/96", "an IPv4 address in another form"),
        ("64:ff9b::/96", "behind NAT64"),
        ("64:ff9b:1::/48", "behind NAT64"),
        ("2001::/32", "behind Teredo"),
        ("2001::/23", "reserved"),
        ("2001:db8::/32", "for documentation"),
        ("2002::/16", "behind 6to4"),
        ("3fff::/20", "for documentation"),
        ("fc00::/7", "private (unique local)"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)

#: The part of IPv6 that is assigned to the public Internet (RFC 4291, IANA).
_PUBLIC_V6: Final = IPv6Network("2000::/3")
_NAT64: Final = IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True)
class HandlerPolicy:
    """Judges addresses, not names, so the address of every connection has to be checked."""

    allowed_networks: tuple[Network, ...] = ()

    def problem_with(self, address: str) -> str | None:
        """One sentence on why a handler may not be at `address`, or None if it may.

        An IPv6 address that embeds an IPv4 address (mapped, NAT64, 6to4, Teredo) is refused if the inner address is
        banned. Otherwise, it or its inner address still has to be allowed.
        """
        try:
            parsed = ip_address(address)
        except ValueError:
            return f"{address[:100]!r} is not an IP address"
        what = self._ban_on(parsed)
        return f"the address {address} is not allowed: it is {what}" if what else None

    def _ban_on(self, address: Address) -> str | None:
        inner = _inner_v4(address)
        if inner is not None and (what := self._ban_on(inner)):
            return f"{_ban(address)}, and {inner} is {what}"
        if self._allows(address) or (inner is not None and self._allows(inner)):
            return None
        return _ban(address)

    def _allows(self, address: Address) -> bool:
        return any(address.version == network.version and address in network for network in self.allowed_networks)


def _ban(address: Address) -> str | None:
    if isinstance(address, IPv4Address):
        return next((what for network, what in _BANNED_V4 if address in network), None)
    if what := next((what for network, what in _BANNED_V6 if address in network), None):
        return what
    if address.scope_id is not None:
        return "bound to one of this machine's interfaces"
    return None if address in _PUBLIC_V6 else "outside the public Internet"


def _inner_v4(address: Address) -> IPv4Address | None:
    """The IPv4 address that packets to this address reach, if the address contains it.

    The layout of 64:ff9b:1::/48 is up to its operator, who becomes responsible for it by allowing the network.
    """
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None)


def parse_networks(text: str, name: str = "networks") -> tuple[Network, ...]:
    """Reads networks such as `10.0.0.0/8, fd00::/8, 192.0.2.7`: CIDRs or addresses, separated by commas.

    Raises:
        InvalidInput: with every part that is not a network. `name` is the name of the setting, for the pointers.
    """
    networks: list[Network] = []
    problems: list[tuple[str, str]] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            networks.append(ip_network(part))
        except ValueError as exc:
            problems.append((f"/{name}", f"must be networks like 10.0.0.0/8, separated by commas: {exc}"))
    if problems:
        raise InvalidInput(f"{name} {problems[0][1]}", problems)
    return tuple(networks)

"""Addresses of clients as they are kept: whole, only their network, or not at all."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Final

_IPV4_PREFIX: Final = 24
_IPV6_PREFIX: Final = 48


class KeepIp(StrEnum):
    """How much of a client's address is kept."""

    FULL = "full"
    #: The first address of its network: IPv4 /24, IPv6 /48.
    TRUNCATED = "truncated"
    NONE = "none"


@lru_cache(maxsize=4096)
def kept_ip(keep: KeepIp, ip: str) -> str:
    """The kept part of a client's address. Empty: nothing, because it is not wanted or `ip` is not an address."""
    if keep is KeepIp.FULL:
        return ip
    if keep is KeepIp.NONE:
        return ""
    try:
        address = ip_address(ip.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(address, IPv6Address):
        # An IPv4 client of a socket that speaks both: its IPv6 network would be the same for the whole internet.
        address = address.ipv4_mapped or address
    prefix = _IPV4_PREFIX if address.version == 4 else _IPV6_PREFIX
    return str(ip_network((address, prefix), strict=False).network_address)

"""Checks over the network without a running service: host names, the name server and a cluster's head."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

import dns.exception
import dns.resolver

from actors.adapters.proof_fetcher import stub_resolver
from api.cli.doctor.findings import Finding, ok, problem, warning

NAMES_S: Final = 4.0
#: A name that always exists.
KNOWN_NAME: Final = "example.com"


async def check_ray_address(address: str | None, *, runs: bool) -> Sequence[Finding]:
    """Checks the connection to a cluster's head if no service is running."""
    if address is None or runs:
        return []
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(NAMES_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, TimeoutError) as exc:
        advice = "Start Ray's head there, or fix the network; without it hits are answered and wait."
        return [problem("Ray", f"cannot connect to {address}: {exc or 'no response'}", advice)]
    writer.close()
    return [ok("Ray", f"{address} accepts connections")]


async def check_names(public_url: str, nameserver: str | None) -> Sequence[Finding]:
    """Checks that host names can be resolved, including the one in the tracking URLs."""
    host = urlsplit(public_url).hostname or ""
    return [await _public_name(host), await _name_server(nameserver)]


async def _public_name(host: str) -> Finding:
    if _is_address(host) or host == "localhost":
        advice = "Set --public-url to the host name that recipients use, before you send mail."
        return warning("DNS", f"the host of the tracking URLs is {host}", advice)
    try:
        async with asyncio.timeout(NAMES_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as exc:
        advice = "Fix its DNS record: without it no link in any mail works."
        return problem(
            "DNS", f"{host}, the host of the tracking URLs, does not resolve: {exc or 'no response'}", advice
        )
    addresses = ", ".join(sorted({str(address[0]) for *_, address in found}))
    return ok("DNS", f"{host}, the host of the tracking URLs, is at {addresses}")


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


async def _name_server(nameserver: str | None) -> Finding:
    whose = nameserver or "the system's"
    try:
        await stub_resolver(nameserver, NAMES_S).resolve(KNOWN_NAME, "SOA", search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return ok("DNS", f"the name server ({whose}) responds")
    except (dns.exception.DNSException, OSError) as exc:
        reason = "no response in time" if isinstance(exc, dns.exception.Timeout) else str(exc).rstrip(".")
        advice = "Check /etc/resolv.conf, or set --nameserver; until then no handler can be found by name."
        found = f"the name server ({whose}) does not resolve: {reason}"
        return problem("DNS", found, advice) if nameserver else warning("DNS", found, advice)
    return ok("DNS", f"the name server ({whose}) responds")

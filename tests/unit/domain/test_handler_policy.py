"""`domain.handler_policy` (I6)."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from domain.errors import InvalidInput
from domain.handler_policy import HandlerPolicy, parse_networks

POLICY = HandlerPolicy()

PUBLIC = [
    "8.8.8.8",
    "93.184.216.34",
    "1.1.1.1",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700::1111",
    "2a00:1450::1",
    "2001:4860:4860::8888",
]

BANNED = {
    "0.0.0.0": "unspecified",
    "0.1.2.3": "unspecified",
    "10.0.0.1": "private",
    "100.64.0.1": "CGNAT",
    "100.100.100.200": "CGNAT",
    "127.0.0.1": "loopback",
    "127.255.255.254": "loopback",
    "168.63.129.16": "metadata",
    "169.254.169.254": "metadata",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.192": "reserved",
    "192.0.2.1": "documentation",
    "192.88.99.1": "6to4",
    "192.168.1.1": "private",
    "198.18.0.1": "benchmarks",
    "198.51.100.7": "documentation",
    "203.0.113.7": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.250": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "reserved",
    "::": "unspecified",
    "::1": "loopback",
    "::8.8.8.8": "outside the public Internet",
    "::ffff:8.8.8.8": "another form",
    "::ffff:127.0.0.1": "127.0.0.1 is loopback",
    "::ffff:0:8.8.8.8": "outside the public Internet",
    "64:ff9b::8.8.8.8": "NAT64",
    "64:ff9b::10.0.0.1": "10.0.0.1 is private",
    "64:ff9b:1::1": "NAT64",
    "100::1": "outside the public Internet",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2": "Teredo",
    "2001:10::1": "reserved",
    "2001:db8::1": "documentation",
    "2002:808:808::1": "6to4",
    "2002:a00:1::1": "10.0.0.1 is private",
    "3fff::1": "documentation",
    "fc00::1": "private",
    "fd00:ec2::254": "private",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local",
    "2606:4700::1%eth0": "interfaces",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
}


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_are_allowed(address: str) -> None:
    """Handlers are on the public Internet."""
    assert POLICY.problem_with(address) is None


@pytest.mark.parametrize(("address", "word"), BANNED.items())
def test_all_others_are_refused_with_the_reason(address: str, word: str) -> None:
    """Every special range is refused, and the message has the address and the reason."""
    problem = POLICY.problem_with(address)
    assert problem is not None
    assert word in problem
    assert f"the address {address} is not allowed" in problem


@pytest.mark.parametrize(
    "text", ["", "localhost", "127.1", "0x7f.0.0.1", "2130706433", "017700000001", "1.2.3.4.5", "[::1]", "8.8.8.8 "]
)
def test_a_non_address_is_refused(text: str) -> None:
    """Names, and spellings that only some resolvers read, are never allowed."""
    assert "is not an IP address" in (POLICY.problem_with(text) or "")


@pytest.mark.parametrize(
    ("networks", "address"),
    [
        ("127.0.0.0/8", "127.0.0.1"),
        ("10.1.0.0/16", "10.1.2.3"),
        ("::1", "::1"),
        ("fd00::/8", "fd12::1"),
        ("127.0.0.0/8", "::ffff:127.0.0.1"),
        ("64:ff9b::/96", "64:ff9b::8.8.8.8"),
        ("64:ff9b::/96,10.0.0.0/8", "64:ff9b::10.0.0.1"),
        ("fe80::/10", "fe80::1%eth0"),
    ],
)
def test_addresses_in_allowed_networks_are_allowed(networks: str, address: str) -> None:
    """An address in an allowed network passes, and so does another form of an allowed IPv4 address."""
    assert HandlerPolicy(parse_networks(networks)).problem_with(address) is None


@pytest.mark.parametrize(
    ("networks", "address"),
    [
        ("127.0.0.0/8", "10.0.0.1"),
        ("127.0.0.0/8", "::1"),
        ("10.1.0.0/16", "10.2.0.1"),
        ("64:ff9b::/96", "64:ff9b::10.0.0.1"),
        ("::/0", "::ffff:127.0.0.1"),
        ("2002::/16", "2002:7f00:1::1"),
        ("2001::/32", "2001:0:4136:e378:8000:63bf:80ff:fffe"),
    ],
)
def test_an_allowed_network_allows_nothing_else(networks: str, address: str) -> None:
    """Other networks stay banned, and an allowed tunnel does not lead to a private address behind it."""
    assert HandlerPolicy(parse_networks(networks)).problem_with(address) is not None


def test_networks_are_read_from_text() -> None:
    """CIDRs and single addresses of both families are accepted, with spaces; blank text is none."""
    expected = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"), ip_network("192.0.2.7/32"))
    assert parse_networks(" 10.0.0.0/8, fd00::/8 ,192.0.2.7,") == expected
    assert parse_networks("  ") == ()


def test_every_wrong_network_is_named() -> None:
    """All invalid parts are listed, under the setting's name."""
    with pytest.raises(InvalidInput) as caught:
        parse_networks("10.0.0.1/8,fd00::/8,localhost", "allowed_handler_networks")
    pointers, details = zip(*caught.value.problems, strict=True)
    assert set(pointers) == {"/allowed_handler_networks"}
    assert ["10.0.0.1/8 has host bits set" in details[0], "'localhost'" in details[1]] == [True, True]

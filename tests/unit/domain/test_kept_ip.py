"""Tests of kept addresses."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.kept_ip import KeepIp, kept_ip


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("2001:db8:1234:5678::9", "2001:db8:1234::"),
        ("::ffff:203.0.113.77", "203.0.113.0"),
        ("fe80::1%eth0", "fe80::"),
        ("", ""),
        ("testclient", ""),
    ],
)
def test_a_truncated_address_is_the_first_of_its_network(ip: str, network: str) -> None:
    assert kept_ip(KeepIp.TRUNCATED, ip) == network


@given(st.ip_addresses())
def test_no_subscriber_can_be_told_from_his_neighbours(address: object) -> None:
    ip = str(address)
    assert kept_ip(KeepIp.FULL, ip) == ip
    assert kept_ip(KeepIp.NONE, ip) == ""
    kept = ip_address(kept_ip(KeepIp.TRUNCATED, ip))
    if kept.version == 6:
        assert ip_address(ip) in ip_network((kept, 48))
    elif ip_address(ip).version == 4:
        assert ip_address(ip) in ip_network((kept, 24))
    assert kept_ip(KeepIp.TRUNCATED, str(kept)) == str(kept)

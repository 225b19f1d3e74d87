"""Addresses in fields and running text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.returned_mail import addresses


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("<user@example.com>:", ["user@example.com"]),
        ("'user@example.com', failed", ["user@example.com"]),
        ("[SMTP:user@example.com]", ["user@example.com"]),
        ("dda:SMTP=user@example.COM;", ["user@example.COM"]),
        ("RCPT TO:<user@example.com>", ["user@example.com"]),
        ("to user@example.com.", ["user@example.com"]),
        ('<"john doe"@example.com>', ['"john doe"@example.com']),
        ("user@[192.0.2.1]", ["user@[192.0.2.1]"]),
        ("<root@localhost>", ["root@localhost"]),
        ("root@localhost", []),
        ("prvs=1234567890=user@example.com", ["user@example.com"]),
        ("地址user@example.com不存在", ["user@example.com"]),
        ("<用户@例子.公司>", ["用户@例子.公司"]),
        ("to jöhn@example.com, <jan@mail.exämple.nl>", ["jöhn@example.com", "jan@mail.exämple.nl"]),
        ("a@b.c, d@e.f", ["a@b.c", "d@e.f"]),
        ("550 see https://x.example/4.2.1?e=user@example.com or ask help@example.com", ["help@example.com"]),
        ("@ @@ a@ @b", []),
    ],
)
def test_addresses_in_text_are_found_without_what_surrounds_them(text: str, found: list[str]) -> None:
    """Brackets, quotes, types and BATV tags are no part of an address."""
    assert [one.address for one in addresses.find(text)] == found


@pytest.mark.parametrize(
    ("value", "address"),
    [
        ("rfc822; user@example.com", "user@example.com"),
        ("RFC822;<user@example.com>", "user@example.com"),
        ("<user@example.com>", "user@example.com"),
        ("user@example.com", "user@example.com"),
        ("rfc822;user@sims-ms-daemon", "user@sims-ms-daemon"),
        ("LOCAL;<user@example.com>", "user@example.com"),
        ("rfc822; user+40example.com", "user@example.com"),
        (r"utf-8; user\x{20AC}@example.com", "user€@example.com"),
        (r"utf-8; j\x{F6}hn@example.com", "jöhn@example.com"),
        ("utf-8; 用户@例子.公司", "用户@例子.公司"),
        ("utf-8; 用户a@example.com", "用户a@example.com"),
        ("rfc822; recipient@#example.net", "recipient@#example.net"),
        ("x400; /S=user/OU=example/", ""),
        ("system;<>", ""),
        ("", ""),
        (r"utf-8; \x{FFFFFF}\x{D800}@example.com", "??@example.com"),
    ],
)
def test_status_fields_have_an_address_after_its_type(value: str, address: str) -> None:
    """RFC 3464 and RFC 6533, and what programs make of them."""
    assert addresses.of_status_field(value) == address


@pytest.mark.parametrize(
    ("address", "original"),
    [
        ("bounces+user=example.com@lists.example.org", "user@example.com"),
        ("list-bounces+first.last=example.com@example.org", "first.last@example.com"),
        ("SRS0=HHH=TT=example.com=user@forwarder.example", "user@example.com"),
        ("user@example.com", ""),
        ("user+tag@example.com", ""),
    ],
)
def test_bounce_addresses_encode_the_recipient(address: str, original: str) -> None:
    """VERP and SRS."""
    assert addresses.original_of(address) == original


@given(st.text(max_size=500))
def test_any_text_gives_addresses_with_both_parts(text: str) -> None:
    """Whatever is found has a local part and a domain, and lies within the text."""
    for found in addresses.find(text):
        local, _, domain = found.address.rpartition("@")
        assert local
        assert domain
        assert 0 <= found.start < found.end <= len(text)
    addresses.of_status_field(text)
    addresses.original_of(text)

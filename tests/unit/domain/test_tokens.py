"""`domain.tokens`: fixed cases. What holds for all values is in tests/properties."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import blake2s

import pytest

from domain.errors import InvalidInput, InvalidToken
from domain.tokens import MAX_NUMBER, MAX_TARGET_BYTES, MAX_TOKEN_CHARS, TrackingToken, TrackingTokens

KEY = bytes(range(32))
TOKENS = TrackingTokens(KEY)
MESSAGE_KEY = 3565158400000012345
LONG_URL = "https://www.example.com/shop/products/12345?utm_source=newsletter&utm_medium=email&utm_campaign=spring-2026"


@pytest.mark.parametrize(
    ("kind", "token", "values"),
    [
        (
            "click",
            "E00xefytAAAwOUNmp1YAjc9JBWtDDrxifUMjYxNTshxaXFCUmZeua2RgZAYA7qAvDIjzWzC1qQ",
            (77, MESSAGE_KEY, LONG_URL),
        ),
        ("click", "E00xefytAAAwOYOxUyuARuekgjUnAgAmuNtdZMSX3P_s", (77, MESSAGE_KEY, "https://example.org/a")),
        ("open", "EU0xefytAAAwOQlkEwytoL8kt3g", (77, MESSAGE_KEY, "")),
        ("unsubscribe", "EE0FTrDN6kahGc2Qrg", (77, 5, "")),
    ],
)
def test_tokens_of_mail_sent_long_ago_are_still_read(kind: str, token: str, values: tuple[int, int, str]) -> None:
    """Tokens of version 1 stay readable as they are: mail that was sent cannot be changed."""
    assert TOKENS.read(kind, token) == TrackingToken(kind, *values)


def test_a_pixels_token_is_short() -> None:
    """The token of an open is 27 characters for an ordinary account and key."""
    assert len(TOKENS.open(77, MESSAGE_KEY)) == 27


def test_a_long_link_is_shorter_than_its_target() -> None:
    """An ordinary link with campaign parameters fits in fewer characters than it has itself."""
    assert len(TOKENS.click(77, MESSAGE_KEY, LONG_URL)) < len(LONG_URL)


@pytest.mark.parametrize("kind", ["open", "click", "unsubscribe"])
def test_a_token_is_of_one_kind(kind: str) -> None:
    """A token made for one kind of hit is refused as any other."""
    tokens = {
        "open": TOKENS.open(1, 2),
        "click": TOKENS.click(1, 2, ""),
        "unsubscribe": TOKENS.unsubscribe(1, 2),
    }
    assert TOKENS.read(kind, tokens.pop(kind)) == TrackingToken(kind, 1, 2, "")
    for token in tokens.values():
        with pytest.raises(InvalidToken):
            TOKENS.read(kind, token)


@pytest.mark.parametrize("numbers", [(-1, 1), (1, -1), (MAX_NUMBER + 1, 1), (1, MAX_NUMBER + 1)])
def test_numbers_that_do_not_fit_are_refused(numbers: tuple[int, int]) -> None:
    """Account and message numbers outside 63 bits are a mistake of ours, not a token."""
    with pytest.raises(ValueError, match="2\\^63"):
        TOKENS.open(*numbers)


def test_the_longest_target_fits_and_a_longer_one_does_not() -> None:
    """A target of 8192 incompressible bytes comes back; one byte more is refused when the link is made."""
    noise = "".join(blake2s(bytes([n // 256, n % 256])).hexdigest() for n in range(128))
    longest = noise[:MAX_TARGET_BYTES]
    token = TOKENS.click(MAX_NUMBER, MAX_NUMBER, longest)
    assert len(token) <= MAX_TOKEN_CHARS
    assert TOKENS.read("click", token).target == longest
    with pytest.raises(InvalidInput, match="8192"):
        TOKENS.click(1, 1, longest + "x")


def test_text_outside_base64_of_the_largest_size_fits() -> None:
    """The bound on tokens leaves room for the largest payload there can be."""
    assert (1 + 9 + 8 + MAX_TARGET_BYTES + 10) * 4 / 3 < MAX_TOKEN_CHARS


def test_half_a_surrogate_pair_is_no_target() -> None:
    """A target that no UTF-8 can hold is refused when the link is made."""
    with pytest.raises(InvalidInput, match="surrogate"):
        TOKENS.click(1, 1, "https://example.com/\ud800")


@pytest.mark.parametrize("payload", [b"\x20\x01\x01", b"\x10\xff\xff", b"\x12\x01\x01\xff\xff", b"\x10\x01\x01\xff"])
def test_what_we_signed_but_cannot_read_is_refused(payload: bytes) -> None:
    """An unknown version, a number or target cut short and a target that is no text raise `InvalidToken` alone."""
    tag = blake2s(payload, key=KEY, person=b"click", digest_size=10).digest()
    token = urlsafe_b64encode(payload + tag).rstrip(b"=").decode()
    with pytest.raises(InvalidToken):
        TOKENS.read("click", token)


def test_an_unknown_kind_has_no_tokens() -> None:
    """Reading for a kind that there is not raises `InvalidToken`."""
    with pytest.raises(InvalidToken):
        TOKENS.read("bounce", TOKENS.open(1, 1))


def test_a_key_is_needed() -> None:
    """An empty key would let anybody make tokens, and is refused."""
    with pytest.raises(ValueError, match="key"):
        TrackingTokens(b"")

"""`domain.tokens`: fixed cases. Properties for all values are in tests/properties."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import blake2s

import pytest

from domain.errors import InvalidInput, InvalidToken, Unavailable, UnknownKey
from domain.key_set import MAX_KEY_ID, NO_KEYS, KeySet
from domain.tokens import MAX_NUMBER, MAX_TARGET_BYTES, MAX_TOKEN_CHARS, TrackingToken, TrackingTokens

KEY = bytes(range(32))
TOKENS = TrackingTokens(KeySet.single(KEY))
MESSAGE_KEY = 3565158400000012345
LONG_URL = "https://www.example.com/shop/products/12345?utm_source=newsletter&utm_medium=email&utm_campaign=spring-2026"


@pytest.mark.parametrize(
    ("kind", "token", "values"),
    [
        (
            "click",
            "R00xefytAAAwOUNmp1YAjc9JBWtDDrxifUMjYxNTshxaXFCUmZeua2RgZAYAoyf4-lEPgDR-fQ",
            (77, MESSAGE_KEY, LONG_URL),
        ),
        ("click", "R00xefytAAAwOYOxUyuARuekgjUnAgA1TKgUJMbcahg6", (77, MESSAGE_KEY, "https://example.org/a")),
        ("open", "RU0xefytAAAwOX1Ef1uj3gHtOnM", (77, MESSAGE_KEY, "")),
        ("unsubscribe", "RE0F-L8XHVo5pTaKUQ", (77, 5, "")),
    ],
)
def test_old_tokens_stay_readable(kind: str, token: str, values: tuple[int, int, str]) -> None:
    """Tokens of version 1 are read for ever, because sent mail cannot be changed."""
    assert TOKENS.read(kind, token) == TrackingToken(kind, *values)


def test_a_pixels_token_is_short() -> None:
    """The token of an open has 27 characters for an ordinary account and key."""
    assert len(TOKENS.open(77, MESSAGE_KEY)) == 27


def test_a_long_link_is_shorter_than_its_target() -> None:
    """The token of an ordinary link with campaign parameters is shorter than the link."""
    assert len(TOKENS.click(77, MESSAGE_KEY, LONG_URL)) < len(LONG_URL)


@pytest.mark.parametrize("kind", ["open", "click", "unsubscribe"])
def test_a_token_has_one_kind(kind: str) -> None:
    """A token for one kind of hit is refused as any other."""
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
def test_numbers_out_of_range_are_refused(numbers: tuple[int, int]) -> None:
    """Account and message numbers outside 63 bits are a programming error, not an invalid token."""
    with pytest.raises(ValueError, match="2\\^63"):
        TOKENS.open(*numbers)


def test_the_longest_target_fits_and_a_longer_one_does_not() -> None:
    """A target of 8192 incompressible bytes round-trips; one byte more is refused when the link is made."""
    noise = "".join(blake2s(bytes([n // 256, n % 256])).hexdigest() for n in range(128))
    longest = noise[:MAX_TARGET_BYTES]
    token = TOKENS.click(MAX_NUMBER, MAX_NUMBER, longest)
    assert len(token) <= MAX_TOKEN_CHARS
    assert TOKENS.read("click", token).target == longest
    with pytest.raises(InvalidInput, match="8192"):
        TOKENS.click(1, 1, longest + "x")


def test_text_outside_base64_of_the_largest_size_fits() -> None:
    """The limit on tokens leaves room for the largest possible payload."""
    assert (1 + 9 + 8 + MAX_TARGET_BYTES + 10) * 4 / 3 < MAX_TOKEN_CHARS


def test_half_a_surrogate_pair_is_no_target() -> None:
    """A target without a UTF-8 form is refused when the link is made."""
    with pytest.raises(InvalidInput, match="surrogate"):
        TOKENS.click(1, 1, "https://example.com/\ud800")


@pytest.mark.parametrize("payload", [b"\x84\x01\x01", b"\x44\xff\xff", b"\x46\x01\x01\xff\xff", b"\x44\x01\x01\xff"])
def test_a_signed_but_unreadable_token_is_refused(payload: bytes) -> None:
    """An unknown version, a cut number or target, and a target that is not text raise only `InvalidToken`."""
    tag = blake2s(payload, key=KEY, person=b"click", digest_size=10).digest()
    token = urlsafe_b64encode(payload + tag).rstrip(b"=").decode()
    with pytest.raises(InvalidToken):
        TOKENS.read("click", token)


@pytest.mark.parametrize("key_id", [1, 14, 15, MAX_KEY_ID])
def test_tokens_of_all_keys_are_read(key_id: int) -> None:
    """After a rotation, tokens of the former key are still read; without their key, they are of an unknown one."""
    former = TrackingTokens(KeySet.single(b"k" * 32, key_id))
    tokens = [former.open(77, MESSAGE_KEY), former.click(77, MESSAGE_KEY, LONG_URL)]
    rotated = KeySet(key_id - 1 or 2, {key_id: b"k" * 32, key_id - 1 or 2: b"n" * 32})

    former.use(rotated)
    for token, kind in zip(tokens, ("open", "click"), strict=True):
        assert former.read(kind, token).message_key == MESSAGE_KEY
        with pytest.raises(UnknownKey):
            TOKENS.read(kind, token) if key_id != 1 else TrackingTokens(NO_KEYS).read(kind, token)
    assert former.open(77, MESSAGE_KEY) not in tokens
    former.use(KeySet.single(b"x" * 32, key_id))
    with pytest.raises(InvalidToken):
        former.read("open", tokens[0])


def test_a_key_id_costs_nothing_at_first() -> None:
    """The first 14 keys make tokens of the same length; later ones add a byte."""
    lengths = [len(TrackingTokens(KeySet.single(KEY, key_id)).open(77, MESSAGE_KEY)) for key_id in (1, 14, 15)]
    assert lengths == [27, 27, 28]


def test_without_keys_no_token_is_made() -> None:
    """Until the installation's keys are known, messages cannot be registered, which is temporary."""
    with pytest.raises(Unavailable, match="not known yet"):
        TrackingTokens(NO_KEYS).open(1, 1)


def test_an_unknown_kind_has_no_tokens() -> None:
    """Reading for an unknown kind raises `InvalidToken`."""
    with pytest.raises(InvalidToken):
        TOKENS.read("bounce", TOKENS.open(1, 1))


def test_a_key_is_required() -> None:
    """An empty key would let anyone make tokens, so it is refused."""
    with pytest.raises(ValueError, match="key"):
        TrackingTokens(KeySet.single(b""))

"""`domain.return_path`."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidToken, UnknownKey
from domain.key_set import KeySet
from domain.return_path import ReturnPathTokens

TOKENS = ReturnPathTokens(KeySet.single(b"k" * 32))
TOKEN = TOKENS.make(7, 2**62 + 5)
numbers = st.integers(0, 2**24 - 1), st.integers(0, 2**63 - 1)


@given(*numbers)
def test_a_token_survives_any_case(account_no: int, key: int) -> None:
    """It is 32 characters of base32, and is read in any case, alone, in an address and behind BATV."""
    token = TOKENS.make(account_no, key)

    assert re.fullmatch(r"[a-z2-7]{32}", token)
    assert TOKENS.read(token) == TOKENS.read(token.upper()) == TOKENS.read(token.title()) == (account_no, key)
    address = TOKENS.address(account_no, key, "return.example")
    for text in (address, address.upper(), f"<{address}>", f"prvs=0123456789={address}", f"b-{token}"):
        assert TOKENS.read_address(text) == (account_no, key)


def test_the_token_never_changes() -> None:
    """Sent mail contains tokens, so today's code reads this one."""
    assert TOKEN == "aeaaab2aaaaaaaaaaac6nngz327ctj5p"


@given(st.integers(0, 31), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_any_change_is_noticed(position: int, letter: str) -> None:
    """Another character anywhere makes it a forgery."""
    changed = TOKEN[:position] + letter + TOKEN[position + 1 :]
    if changed != TOKEN:
        with pytest.raises(InvalidToken):
            TOKENS.read(changed)


def test_tokens_of_all_keys_are_read() -> None:
    """After a rotation, tokens of the former key are still read, until it is dropped."""
    tokens = ReturnPathTokens(KeySet(2, {1: b"k" * 32, 2: b"n" * 32}))

    assert tokens.read(TOKEN) == TOKENS.read(TOKEN)
    assert tokens.make(7, 2**62 + 5) != TOKEN
    tokens.use(KeySet.single(b"n" * 32, 2))
    with pytest.raises(UnknownKey):
        tokens.read(TOKEN)


@given(st.text(max_size=60))
def test_other_texts_are_refused(text: str) -> None:
    """Any text is read or refused with the same error."""
    for read in (TOKENS.read, TOKENS.read_address):
        with pytest.raises(InvalidToken):
            read(text)


@pytest.mark.parametrize(
    "text",
    ["", TOKEN[:-1], TOKEN + "a", f" {TOKEN}", TOKEN.replace(TOKEN[0], "1"), f"{TOKEN}@x", "ß" * 32]
    + [TOKEN[:-1] + letter for letter in "\u212a\u0130\u0131\u017f"],  # without regard to case, they match [a-z]
)
def test_only_whole_tokens_are_read(text: str) -> None:
    """Truncated, extended and decorated tokens are refused."""
    with pytest.raises(InvalidToken):
        TOKENS.read(text)
    with pytest.raises(InvalidToken):
        ReturnPathTokens(KeySet.single(b"other")).read(TOKEN)
    with pytest.raises(InvalidToken):
        TOKENS.read_address(f"c-{TOKEN}@x")

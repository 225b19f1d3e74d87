"""`domain.tokens`: properties that hold for all values."""

from __future__ import annotations

from string import ascii_letters, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import InvalidToken
from domain.key_set import KeySet
from domain.tokens import MAX_NUMBER, TrackingToken, TrackingTokens

TOKENS = TrackingTokens(KeySet.single(b"k" * 32))
NUMBERS = st.one_of(st.integers(0, 300), st.integers(0, MAX_NUMBER))
TARGETS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=300),
    st.builds("https://www.{}.com/{}?utm_source={}".format, *[st.text(ascii_letters, max_size=20)] * 3),
)
BASE64URL = ascii_letters + digits + "-_"


@given(NUMBERS, NUMBERS, TARGETS)
def test_every_token_round_trips(account_no: int, message_key: int, target: str) -> None:
    """The parts of a token are read back unchanged, for every kind."""
    assert TOKENS.read("click", TOKENS.click(account_no, message_key, target)) == TrackingToken(
        "click", account_no, message_key, target
    )
    for kind, token in (
        ("open", TOKENS.open(account_no, message_key)),
        ("unsubscribe", TOKENS.unsubscribe(account_no, message_key)),
    ):
        assert TOKENS.read(kind, token) == TrackingToken(kind, account_no, message_key, "")


@given(NUMBERS, NUMBERS, TARGETS)
def test_tokens_need_no_escaping_in_a_path(account_no: int, message_key: int, target: str) -> None:
    """A token holds only characters that a URL's path accepts as they stand."""
    assert set(TOKENS.click(account_no, message_key, target)) <= set(BASE64URL)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text raises anything but `InvalidToken`, including half surrogates and other scripts."""
    for kind in ("open", "click", "unsubscribe", text):
        with pytest.raises(InvalidToken):
            TOKENS.read(kind, text)


@given(st.text(BASE64URL, max_size=200))
def test_a_forged_token_is_refused(text: str) -> None:
    """Text that looks like a token is invalid without the key."""
    with pytest.raises(InvalidToken):
        TOKENS.read("click", text)


@given(NUMBERS, NUMBERS, TARGETS, st.data())
def test_changing_any_character_is_detected(
    account_no: int, message_key: int, target: str, data: st.DataObject
) -> None:
    """A token with any one character replaced is refused, so it has no second spelling."""
    token = TOKENS.click(account_no, message_key, target)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.one_of(st.sampled_from(BASE64URL + "+/= "), st.characters()).filter(lambda c: c != token[at]))
    with pytest.raises(InvalidToken):
        TOKENS.read("click", token[:at] + other + token[at + 1 :])


@given(NUMBERS, NUMBERS)
def test_changing_each_character_is_detected(account_no: int, message_key: int) -> None:
    """The seal covers every position of a token, including stray bits of its last character."""
    token = TOKENS.open(account_no, message_key)
    for at, char in enumerate(token):
        for other in BASE64URL.replace(char, ""):
            with pytest.raises(InvalidToken):
                TOKENS.read("open", token[:at] + other + token[at + 1 :])


@given(NUMBERS, NUMBERS, TARGETS, st.data())
def test_a_cut_or_lengthened_token_is_refused(
    account_no: int, message_key: int, target: str, data: st.DataObject
) -> None:
    """A token that lost or gained characters at its end is refused, also if they are padding."""
    token = TOKENS.click(account_no, message_key, target)
    with pytest.raises(InvalidToken):
        TOKENS.read("click", token[: data.draw(st.integers(0, len(token) - 1))])
    with pytest.raises(InvalidToken):
        TOKENS.read("click", token + data.draw(st.text(BASE64URL + "=\n ", min_size=1, max_size=5)))


@given(NUMBERS, NUMBERS, TARGETS, st.binary(min_size=1, max_size=32).filter(lambda key: key != b"k" * 32))
def test_a_foreign_key_is_detected(account_no: int, message_key: int, target: str, key: bytes) -> None:
    """A token made with another key is refused."""
    with pytest.raises(InvalidToken):
        TOKENS.read("click", TrackingTokens(KeySet.single(key)).click(account_no, message_key, target))

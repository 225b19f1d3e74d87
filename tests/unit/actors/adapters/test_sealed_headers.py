"""Sealed headers: what the ledger keeps instead of the values."""

from __future__ import annotations

import os

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from actors.adapters.sealed_headers import HeaderSealer
from domain.errors import InvalidInput
from domain.key_set import KeySet

SEALER = HeaderSealer(KeySet.single(b"m" * 32), "fl_1")
VISIBLE = "".join(map(chr, range(0x21, 0x7F)))


def seal(headers: dict[str, str], stored: dict[str, str] | None = None, *, may_keep: bool = True) -> dict[str, str]:
    return SEALER.sealed(headers, stored or {}, os.urandom, may_keep=may_keep)


@given(value=st.text(VISIBLE, min_size=4, max_size=200))
def test_sealed_values_open_again(value: str) -> None:
    """A sealed value does not show the value, differs each time, and opens."""
    first, second = seal({"X-A": value}), seal({"X-A": value})

    assert value not in first["X-A"]
    assert first != second
    assert SEALER.opened(first) == SEALER.opened(second) == [("X-A", value)]


def test_a_sealed_value_only_opens_where_it_belongs() -> None:
    """It opens for no other loop, name or key, and not after a change."""
    sealed = seal({"X-A": "value"})
    for sealer, headers in (
        (HeaderSealer(KeySet.single(b"m" * 32), "fl_2"), sealed),
        (HeaderSealer(KeySet.single(b"n" * 32), "fl_1"), sealed),
        (SEALER, {"X-B": sealed["X-A"]}),
        (SEALER, {"X-A": "1:" + "A" * 40}),
    ):
        with pytest.raises(InvalidTag):
            sealer.opened(headers)


def test_changes_keep_what_stays() -> None:
    """The mask and equal values keep the stored text, in any case of the name; everything else is replaced or gone."""
    stored = seal({"X-A": "a", "X-B": "b", "X-C": "c", "X-D": "d"})
    changed = seal({"x-a": "***", "X-B": "b", "X-C": "other", "X-E": "e"}, stored)

    assert (changed["x-a"], changed["X-B"]) == (stored["X-A"], stored["X-B"])
    assert SEALER.opened(changed) == [("x-a", "a"), ("X-B", "b"), ("X-C", "other"), ("X-E", "e")]


def test_a_mask_needs_a_stored_value_that_may_be_kept() -> None:
    """A mask for a new header, or for one that another host must not get, is refused at its entry."""
    stored = seal({"X-A": "a"})
    for headers, may_keep, words in (
        ({"X-A": "***", "X~B": "***"}, True, "no stored value"),
        ({"X-B": "b", "X-A": "***"}, False, "another host"),
    ):
        with pytest.raises(InvalidInput, match=words) as caught:
            seal(headers, stored, may_keep=may_keep)
        assert [pointer for pointer, _ in caught.value.problems] == ["/headers/X~0B" if may_keep else "/headers/X-A"]

    assert SEALER.opened(seal({"X-A": "a"}, stored, may_keep=False)) == [("X-A", "a")]

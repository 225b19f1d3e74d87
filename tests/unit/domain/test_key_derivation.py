"""`domain.key_derivation`."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from domain.key_derivation import derive

MASTER = bytes(range(32))


def test_it_is_rfc_5869_test_case_3() -> None:
    """Without salt and purpose the key is that of RFC 5869, appendix A.3."""
    expected = "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    assert derive(b"\x0b" * 22, "", 42).hex() == expected


@pytest.mark.parametrize("length", [1, 24, 32, 33, 64, 100])
def test_it_agrees_with_another_implementation(length: int) -> None:
    """Every length yields the same as HKDF of the cryptography package."""
    expected = HKDF(SHA256(), length, salt=None, info=b"loop-secret/fl_1/1").derive(MASTER)
    assert derive(MASTER, "loop-secret/fl_1/1", length) == expected


def test_purposes_and_masters_do_not_share_keys() -> None:
    """Another purpose or another master key yields another key."""
    assert len({derive(MASTER, "a"), derive(MASTER, "b"), derive(MASTER[::-1], "a")}) == 3


@pytest.mark.parametrize("length", [0, -1, 8161])
def test_an_impossible_length_is_refused(length: int) -> None:
    """A length outside 1 to 8160 raises instead of returning a short key."""
    with pytest.raises(ValueError, match="length"):
        derive(MASTER, "a", length)

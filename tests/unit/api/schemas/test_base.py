"""Times in the API's answers."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.schemas.base import time_text


@given(st.integers(-(2**63), 2**63))
def test_every_number_is_a_time(unix_ms: int) -> None:
    """Times outside the years of RFC 3339 are its first or last moment; all others are exact."""
    moment = datetime.fromisoformat(time_text(unix_ms))

    assert time_text(unix_ms).endswith("Z")
    if -62_135_596_800_000 <= unix_ms <= 253_402_300_799_999:
        assert round(moment.timestamp() * 1000) == unix_ms


@pytest.mark.parametrize(
    ("unix_ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_772_357_400_007, "2026-03-01T09:30:00.007Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (-62_135_596_800_001, "0001-01-01T00:00:00.000Z"),
        (253_402_300_800_000, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_years_have_four_digits(unix_ms: int, text: str) -> None:
    """RFC 3339 requires it."""
    assert text == time_text(unix_ms)

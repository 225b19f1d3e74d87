"""`domain.event_catalogue.samples`."""

from __future__ import annotations

from typing import Any

import pytest

from domain.errors import InvalidInput
from domain.event_catalogue.samples import sample_fields


def test_given_fields_replace_those_of_the_sample() -> None:
    """Given fields replace and extend the sample, but the event's own facts stay."""
    fields = sample_fields("open", bytes(16), 0, {"recipient": "a@b.example", "extra": [1], "type": "x"})

    assert (fields["recipient"], fields["extra"], fields["type"]) == ("a@b.example", [1], "open")


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"": 1}, "empty name"),
        ({"fields": {"": 1}}, "empty name"),
        ({"k" * 201: 1}, "names longer than 200"),
        ({"fields": {"k" * 200: [1] * 15_000}}, "at most 262144 bytes as a form"),
        ({"mime": "x" * 65_536}, "at most 65536 bytes"),
        ({"a": float("inf")}, "Infinity is not JSON"),
        ({"a": {1, 2}}, "is not JSON"),
    ],
)
def test_invalid_data_is_refused(data: dict[str, Any], problem: str) -> None:
    """A sample has the limits of a profile, and errors have its pointers."""
    with pytest.raises(InvalidInput, match=problem) as caught:
        sample_fields("open", bytes(16), 0, data)
    assert caught.value.problems[0][0] == "/data"

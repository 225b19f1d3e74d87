"""`domain.loop_settings`."""

from __future__ import annotations

import pytest

from domain.errors import InvalidInput
from domain.loop_settings import SETTINGS, check_settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("triggers", ["open"]),
        ("format", "json"),
        ("tags", ["a"] * 100),
        ("databases", []),
        ("collections", ["c"]),
        ("rate_limit", None),
        ("rate_limit", 0.5),
        ("rate_limit", 3),
        ("max_concurrency", 1),
        ("max_concurrency", 1000),
        ("ordered", True),
        ("signature", "rfc9421"),
        ("description", ""),
        ("description", "two\nlines"),
    ],
)
def test_good_values_pass(name: str, value: object) -> None:
    """Each setting takes its values, at both ends of its range."""
    check_settings({name: value})


@pytest.mark.parametrize(
    ("name", "value", "pointer"),
    [
        ("triggers", [], "/triggers"),
        ("triggers", "open", "/triggers"),
        ("triggers", ["open", "opened"], "/triggers/1"),
        ("triggers", ["open", "click", "open"], "/triggers/2"),
        ("triggers", [["open"]], "/triggers/0"),
        ("format", "xml", "/format"),
        ("format", None, "/format"),
        ("tags", ["a", ""], "/filters/tags/1"),
        ("tags", ["a"] * 101, "/filters/tags"),
        ("databases", None, "/filters/databases"),
        ("collections", [1], "/filters/collections/0"),
        ("rate_limit", 0, "/rate_limit"),
        ("rate_limit", -1.5, "/rate_limit"),
        ("rate_limit", float("nan"), "/rate_limit"),
        ("rate_limit", float("inf"), "/rate_limit"),
        ("rate_limit", True, "/rate_limit"),
        ("rate_limit", "5", "/rate_limit"),
        ("max_concurrency", 0, "/max_concurrency"),
        ("max_concurrency", 1001, "/max_concurrency"),
        ("max_concurrency", 1.5, "/max_concurrency"),
        ("max_concurrency", True, "/max_concurrency"),
        ("ordered", 1, "/ordered"),
        ("signature", "hmac", "/signature"),
        ("description", None, "/description"),
        ("description", "x" * 2001, "/description"),
        ("url", "https://example.com/", "/url"),
        ("state", "active", "/state"),
    ],
)
def test_a_wrong_value_is_named(name: str, value: object, pointer: str) -> None:
    """What a setting cannot be is refused at the pointer of the API's field; so is what is no setting."""
    with pytest.raises(InvalidInput) as caught:
        check_settings({name: value})
    assert [p for p, _ in caught.value.problems] == [pointer]


def test_all_wrong_values_are_named_together() -> None:
    """One answer lists every setting that is wrong."""
    with pytest.raises(InvalidInput) as caught:
        check_settings(dict.fromkeys(SETTINGS, object()))
    assert [p for p, _ in caught.value.problems] == list(SETTINGS.values())

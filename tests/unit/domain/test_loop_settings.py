"""`domain.loop_settings`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.errors import InvalidInput
from domain.loop_settings import SETTINGS, EventFilter, LoopSettings, check_settings


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
def test_valid_values_pass(name: str, value: object) -> None:
    """Each setting accepts both ends of its range."""
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
    """Invalid values and unknown settings are refused at the pointer of the API's field."""
    with pytest.raises(InvalidInput) as caught:
        check_settings({name: value})
    assert [p for p, _ in caught.value.problems] == [pointer]


def test_all_wrong_values_are_named_together() -> None:
    """One error lists every wrong setting."""
    with pytest.raises(InvalidInput) as caught:
        check_settings(dict.fromkeys(SETTINGS, object()))
    assert [p for p, _ in caught.value.problems] == [setting.pointer for setting in SETTINGS.values()]


FILTER = EventFilter(triggers=("open", "click"))


@pytest.mark.parametrize(
    ("event_filter", "event", "is_wanted"),
    [
        (FILTER, ("open", [], None), True),
        (FILTER, ("bounce", [], None), False),
        (replace(FILTER, tags=("a", "x")), ("open", ["b", "a"], None), True),
        (replace(FILTER, tags=("x",)), ("open", ["b", "a"], None), False),
        (replace(FILTER, tags=("x",)), ("open", [], None), False),
        (replace(FILTER, databases=("1",)), ("open", [], "1"), True),
        (replace(FILTER, databases=("1",)), ("open", [], "2"), False),
        (replace(FILTER, databases=("1",)), ("open", [], None), False),
        (replace(FILTER, tags=("a",), databases=("1",)), ("open", ["a"], "2"), False),
        (replace(FILTER, collections=("c",)), ("open", [], None), True),
        (replace(FILTER, collections=("c",)), ("open", [], "1", "c"), True),
        (replace(FILTER, collections=("c",)), ("open", [], "1", "d"), False),
    ],
)
def test_a_loop_gets_events_that_pass_every_filter(
    event_filter: EventFilter, event: tuple[str, list[str], str], is_wanted: bool
) -> None:
    """The trigger and each given filter must match; an empty filter matches everything."""
    assert event_filter.wants(*event) is is_wanted


def test_settings_of_another_version_are_read() -> None:
    """Unknown settings are ignored, and missing ones have their defaults."""
    stored = '{"triggers": ["open"], "tags": ["a"], "novelty": 1}'

    assert LoopSettings.from_json(stored) == LoopSettings(triggers=("open",), tags=("a",))


def test_settings_are_stored_completely() -> None:
    """Settings read back equal the written ones, and are also immutable."""
    settings = LoopSettings(triggers=("open",), tags=("a", "b"), rate_limit=0.5, description="Zoë")

    assert LoopSettings.from_json(settings.to_json()) == settings
    assert hash(LoopSettings.from_json(settings.to_json())) == hash(settings)


def test_the_event_filter_has_only_the_deciding_settings() -> None:
    """Settings that do not affect which events a loop gets make no difference to it."""
    settings = LoopSettings(triggers=("open",), tags=("a",))

    assert settings.event_filter() == EventFilter(triggers=("open",), tags=("a",))
    assert settings.replaced({"ordered": True, "description": "new"}).event_filter() == settings.event_filter()
    assert settings.replaced({"tags": ["b"]}).event_filter() != settings.event_filter()

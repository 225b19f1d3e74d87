"""`domain.event_catalogue.triggers`."""

from __future__ import annotations

from domain.event_catalogue.triggers import EVENT_TYPES, TRIGGER_CODES, TRIGGER_NAMES, Trigger


def test_every_trigger_has_a_row() -> None:
    """The rows are those of the enumeration in its order, with different labels."""
    assert list(EVENT_TYPES) == [trigger.value for trigger in Trigger]
    assert len({row.label for row in EVENT_TYPES.values()}) == len(EVENT_TYPES)


def test_trigger_codes_never_change() -> None:
    """The numbers are stored, so each trigger keeps its own."""
    names = ["open", "click", "delivery", "bounce", "failure", "abuse", "unsubscribe", "create", "update", "delete"]
    assert dict(enumerate(names, start=1)) == {code: TRIGGER_NAMES[code] for code in range(1, 11)}
    assert {name: n for n, name in TRIGGER_NAMES.items()} == TRIGGER_CODES
    assert len(TRIGGER_CODES) == len(TRIGGER_NAMES)

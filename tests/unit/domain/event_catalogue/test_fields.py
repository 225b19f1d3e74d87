"""`domain.event_catalogue.fields`."""

from __future__ import annotations

import pytest

from domain.event_catalogue.fields import FIELDS, FieldType, example_of, fields_of
from domain.event_catalogue.triggers import EVENT_TYPES

TYPES = {
    FieldType.TEXT: str,
    FieldType.NUMBER: int,
    FieldType.FLAG: int,
    FieldType.TEXTS: list,
    FieldType.MAP: dict,
}


def test_every_field_belongs_to_an_event() -> None:
    """No field is described that no event has, and every name is described once."""
    assert {field.name for trigger in EVENT_TYPES for field in fields_of(trigger)} == {field.name for field in FIELDS}
    assert len({field.name for field in FIELDS}) == len(FIELDS)
    assert all(set(field.triggers) <= set(EVENT_TYPES) for field in FIELDS)


@pytest.mark.parametrize("trigger", EVENT_TYPES)
def test_examples_have_the_type_of_their_field(trigger: str) -> None:
    """Also those that a trigger has in place of the field's own; no trigger has one for a field that it lacks."""
    fields = fields_of(trigger)

    assert all(isinstance(example_of(trigger, field), TYPES[field.type]) for field in fields)
    assert set(EVENT_TYPES[trigger].examples) <= {field.name for field in fields}

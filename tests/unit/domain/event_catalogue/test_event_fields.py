"""`domain.event_catalogue.event_fields`."""

from __future__ import annotations

import pytest

from domain.event_catalogue.event_fields import FIELDS, FieldType, example_of, fields_of
from domain.event_catalogue.triggers import EVENT_TYPES

TYPES = {
    FieldType.TEXT: str,
    FieldType.NUMBER: int,
    FieldType.FLAG: int,
    FieldType.TEXTS: list,
    FieldType.MAP: dict,
}


def test_every_field_belongs_to_an_event() -> None:
    """Every described field belongs to an event, and every name is described once."""
    assert {field.name for trigger in EVENT_TYPES for field in fields_of(trigger)} == {field.name for field in FIELDS}
    assert len({field.name for field in FIELDS}) == len(FIELDS)
    assert all(set(field.triggers) <= set(EVENT_TYPES) for field in FIELDS)


@pytest.mark.parametrize("trigger", EVENT_TYPES)
def test_examples_have_the_type_of_their_field(trigger: str) -> None:
    """Examples for a trigger have it too, and a trigger has examples only for its own fields."""
    fields = fields_of(trigger)

    assert all(isinstance(example_of(trigger, field), TYPES[field.type]) for field in fields)
    assert set(EVENT_TYPES[trigger].examples) <= {field.name for field in fields}

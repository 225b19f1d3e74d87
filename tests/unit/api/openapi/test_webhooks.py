"""What the reference says that handlers get is what they get."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from actors.delivery.sample_events import sample_fields
from api.openapi.webhooks import EVENTS, FIELDS, fields_of, model_name, models
from docs._generate.events import page
from domain.values import Trigger
from tests.paths import ROOT


def test_the_reference_page_is_what_the_table_says() -> None:
    """docs/reference/events.md is current; `python -m docs._generate.events` writes it."""
    assert (ROOT / "docs/reference/events.md").read_text() == page()


@pytest.mark.parametrize("event", EVENTS)
def test_samples_fit_the_reference(event: str) -> None:
    """A sample has the fields of a real event, of the types that the model says, and no other; so has the example."""
    model = models()[model_name(event)]
    closed = Draft202012Validator({**model, "additionalProperties": False})
    Draft202012Validator.check_schema(model)

    closed.validate(sample_fields(Trigger(event), bytes(16), 0, {}))
    for example in model["examples"]:
        closed.validate(example)


def test_every_field_is_of_an_event() -> None:
    """No field is described that no event has, and none twice for one event."""
    assert {field.name for event in EVENTS for field in fields_of(event)} == {field.name for field in FIELDS}
    for event in EVENTS:
        names = [field.name for field in fields_of(event)]
        assert len(set(names)) == len(names)

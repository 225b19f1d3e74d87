"""Agreement of the reference of events with the events that handlers get."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from api.openapi.webhooks import model_name, models
from docs._generate.events import page
from domain.event_catalogue.samples import sample_fields
from domain.event_catalogue.triggers import SENT_TYPES
from tests.paths import ROOT


def test_the_reference_page_is_current() -> None:
    """docs/reference/events.md is current; `python -m docs._generate.events` writes it."""
    assert (ROOT / "docs/reference/events.md").read_text() == page()


@pytest.mark.parametrize("event", [row.trigger.value for row in SENT_TYPES])
def test_samples_fit_the_reference(event: str) -> None:
    """A sample, like the example, has exactly the fields of a real event, with the types of the model."""
    model = models()[model_name(event)]
    closed = Draft202012Validator({**model, "additionalProperties": False})
    Draft202012Validator.check_schema(model)

    closed.validate(sample_fields(event, bytes(16), 0, {}))
    for example in model["examples"]:
        closed.validate(example)

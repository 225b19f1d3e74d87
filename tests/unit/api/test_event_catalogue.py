"""Every trigger reaches the API, the documentation, the command line, the dashboard and the metrics from its row."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from actors.metrics import catalogue
from api.cli.commands import deliveries, events, loops
from api.cli.event_rendering import colour
from api.dashboard import labels
from api.dashboard.pages.loop_form import sample_text
from api.dashboard.pages.testing import sample_data
from api.openapi.webhooks import model_name, models, webhooks
from api.schemas.deliveries import Delivery, DeliveryQuery
from api.schemas.loops import NewLoop, Sample
from api.schemas.messages import Event, EventQuery
from docs._generate.events import page
from domain.event_catalogue.event_fields import fields_of
from domain.event_catalogue.samples import sample_fields
from domain.event_catalogue.triggers import EVENT_TYPES, EventType

every_row = pytest.mark.parametrize("row", EVENT_TYPES.values(), ids=lambda row: row.trigger.value)


def enumerations(schema: Any) -> list[list[str]]:
    """All lists of permitted values in a JSON schema."""
    if isinstance(schema, list):
        return [found for item in schema for found in enumerations(item)]
    if not isinstance(schema, dict):
        return []
    own = [schema["enum"]] if isinstance(schema.get("enum"), list) else []
    return own + [found for item in schema.values() for found in enumerations(item)]


@pytest.mark.parametrize("model", [NewLoop, Sample, Delivery, DeliveryQuery, Event, EventQuery])
def test_the_api_knows_every_trigger(model: Any) -> None:
    """Every list of triggers in the API has the catalogue's values in the catalogue's order."""
    assert list(EVENT_TYPES) in enumerations(model.model_json_schema())


@every_row
def test_the_openapi_document_describes_every_event(row: EventType) -> None:
    """Each event has a webhook, and a model with the catalogue's fields."""
    model = models()[model_name(row.trigger)]

    assert row.meaning in webhooks("{model}")[row.trigger]["post"]["description"]
    assert {field.name: field.meaning for field in fields_of(row.trigger)} == {
        name: value["description"] for name, value in model["properties"].items()
    }


@every_row
def test_the_reference_page_names_every_trigger(row: EventType) -> None:
    """Each trigger is listed with its meaning and its fields."""
    assert f"`{row.trigger}`" in page()
    assert f"| `{row.trigger}` | {row.meaning} |" in page()
    assert all(f"| `{field.name}` |" in page() for field in fields_of(row.trigger))


@every_row
def test_every_trigger_has_a_sample(row: EventType) -> None:
    """A sample is an event of its type; the dashboard shows it in both formats and lets users edit it."""
    fields = sample_fields(row.trigger, bytes(16), 0, {})

    assert fields["type"] == row.trigger
    assert set(fields) <= {field.name for field in fields_of(row.trigger)}
    assert all(row.trigger in sample_text(row.trigger, format_) for format_ in ("form", "json"))
    assert '"database"' in sample_data(row.trigger)


@every_row
def test_samples_fit_the_model(row: EventType) -> None:
    """A sample has the types that the OpenAPI document describes."""
    Draft202012Validator(models()[model_name(row.trigger)]).validate(sample_fields(row.trigger, bytes(16), 0, {}))


@every_row
def test_the_command_line_knows_every_trigger(row: EventType) -> None:
    """Every `--type` option accepts it, and its name has a colour."""
    assert row.trigger in loops.TRIGGERS
    assert vars(deliveries)["TRIGGERS"] is vars(events)["TRIGGERS"] is loops.TRIGGERS
    assert colour(row.trigger) == row.colour


def test_the_dashboard_knows_every_trigger() -> None:
    """Its form and filters list all rows, grouped by source."""
    assert labels.TRIGGERS == EVENT_TYPES
    sources = [row.source for row in labels.TRIGGERS.values()]
    assert sources == sorted(sources, key=sources.index)


def test_events_are_counted_by_trigger() -> None:
    """The metric has a series for each trigger."""
    assert catalogue.EVENTS.labels["type"] == tuple(EVENT_TYPES)

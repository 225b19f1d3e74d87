"""Generated pydantic models: they accept the API's events, as handlers receive them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from pydantic import BaseModel, ValidationError

from api.openapi.webhooks import model_name
from domain.event_catalogue.event_fields import example_of, fields_of
from domain.event_catalogue.triggers import EVENT_TYPES
from domain.payload import encode_json
from tests.clients import page

TEST = "test_models.py"


@pytest.fixture(scope="module")
def models(folder: Path) -> Iterator[ModuleType]:
    """The page's program, which imports the generated models."""
    page.run(page.block(TEST, "datamodel-codegen"), folder)
    (folder / "read_events.py").write_text(page.block(TEST, "from typing"))
    sys.path.insert(0, str(folder))
    try:
        yield importlib.import_module("read_events")
    finally:
        sys.path.remove(str(folder))
        for name in ("read_events", "feedback_loops_models"):
            sys.modules.pop(name, None)


@pytest.mark.timeout(200)
@pytest.mark.usefixtures("models")
def test_the_models_have_correct_types(folder: Path) -> None:
    """mypy finds no error in them, or in the page's program."""
    page.run("mypy --strict --cache-dir .mypy read_events.py feedback_loops_models.py", folder)


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("trigger", EVENT_TYPES)
def test_the_body_of_each_event_fits_its_model(trigger: str) -> None:
    """Each field has the value that the POST contains, and an event of another type does not fit."""
    generated = importlib.import_module("feedback_loops_models")
    model: type[BaseModel] = getattr(generated, model_name(trigger))
    fields = {field.name: example_of(trigger, field) for field in fields_of(trigger)}

    event = model.model_validate_json(encode_json(fields))

    assert event.model_dump(exclude_none=True) == fields
    with pytest.raises(ValidationError, match="type"):
        model.model_validate_json(encode_json(fields | {"type": "other"}))


def test_a_program_tells_events_apart(models: ModuleType) -> None:
    """The page's function returns the model of the event's type."""
    fields = {field.name: example_of("click", field) for field in fields_of("click")}

    event = models.read_event(encode_json(fields))

    assert (type(event).__name__, event.original) == ("ClickEvent", fields["original"])

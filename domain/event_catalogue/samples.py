"""Sample events that loop owners use to test their handlers."""

from __future__ import annotations

import json
from typing import Any

from domain.custom_fields import json_problem
from domain.enrichment import time_fields
from domain.errors import InvalidInput
from domain.event_catalogue.event_fields import example_of, fields_of
from domain.event_catalogue.triggers import EVENT_TYPES


def sample_fields(trigger: str, event_id: bytes, time_ms: int, data: dict[str, Any]) -> dict[str, Any]:
    """The fields of a sample event. `data` replaces and adds fields, except `event` and `type`.

    Raises:
        InvalidInput: there is no such trigger, or `data` contains what no profile may contain.
    """
    if trigger not in EVENT_TYPES:
        raise InvalidInput.at("/type", f"must be one of {', '.join(EVENT_TYPES)}")
    if problem := _data_problem(data):
        raise InvalidInput.at("/data", problem)
    known = time_fields(event_id, trigger, time_ms)
    examples = {
        field.name: example_of(trigger, field)
        for field in fields_of(trigger)
        if field.in_samples and field.name not in known
    }
    return known | examples | data | {"event": known["event"], "type": known["type"]}


def _data_problem(data: dict[str, Any]) -> str | None:
    try:
        text = json.dumps(data, ensure_ascii=False)
    except (TypeError, ValueError) as exc:
        return f"is not JSON: {exc}"
    except RecursionError:
        return "is nested too deep"
    return json_problem(text)

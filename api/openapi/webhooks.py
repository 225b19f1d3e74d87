"""OpenAPI description of the POSTs to handlers, generated from the event catalogue.

Source of the headers: the contract, section 5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from domain.event_catalogue.event_fields import FieldType, example_of, fields_of
from domain.event_catalogue.triggers import EVENT_TYPES

Schema = dict[str, Any]

_SCHEMAS: Final[dict[FieldType, Schema]] = {
    FieldType.TEXT: {"type": "string"},
    FieldType.NUMBER: {"type": "integer"},
    FieldType.FLAG: {"type": "integer", "const": 1},
    FieldType.TEXTS: {"type": "array", "items": {"type": "string"}},
    FieldType.MAP: {"type": "object"},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventHeader:
    """One header of a POST."""

    name: str
    meaning: str
    example: str


HEADERS: Final[tuple[EventHeader, ...]] = (
    EventHeader(name="User-Agent", meaning="`feedback-loops/<version>`.", example="feedback-loops/0.1.0"),
    EventHeader(name="X-Feedback-Loop", meaning="The loop's id.", example="fl_0190f0c0a0b07c0d8e0f102030405060"),
    EventHeader(name="X-Account", meaning="The account's id.", example="acc_0190f0c0a0b07c0d8e0f102030405060"),
    EventHeader(
        name="Content-Type",
        meaning="`application/x-www-form-urlencoded`, or `application/json` with `format: json`.",
        example="application/x-www-form-urlencoded",
    ),
    EventHeader(name="Date", meaning="When this attempt began.", example="Sun, 01 Mar 2026 09:30:00 GMT"),
    EventHeader(
        name="webhook-id", meaning="The event's id, as in `event`.", example="evt_0199c2a4d1f27c3e8a5b6c7d8e9fa0b1"
    ),
    EventHeader(name="webhook-timestamp", meaning="When this attempt began, as Unix seconds.", example="1772357400"),
    EventHeader(
        name="webhook-signature",
        meaning="`v1,` and a signature; several with spaces between while a secret rotates.",
        example="v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4=",
    ),
)


def model_name(event: str) -> str:
    """The name of the event's model in the OpenAPI document."""
    return f"{event.capitalize()}Event"


def models() -> dict[str, Schema]:
    """A model for each event, by name."""
    return {model_name(event): _model(event) for event in EVENT_TYPES}


def _model(event: str) -> Schema:
    fields = fields_of(event)
    properties = {field.name: {**_SCHEMAS[field.type], "description": field.meaning} for field in fields}
    properties["type"] = {"type": "string", "const": event, "description": "What happened."}
    return {
        "type": "object",
        "description": f"{EVENT_TYPES[event].meaning} Unknown values are left out.",
        "required": [field.name for field in fields if event in field.always],
        "properties": properties,
        "examples": [{field.name: example_of(event, field) for field in fields}],
    }


_ANSWERS: Final[Schema] = {
    "2XX": {"description": "The handler accepted the event."},
    "410": {
        "description": "The handler wants no more events. The loop is disabled and owed no new ones until resumed."
    },
    "429": {"description": "Retried, not before `Retry-After`. The same holds for 503."},
    "default": {"description": "Retried on the schedule. Redirects are not followed."},
}


def webhooks(reference: str) -> Schema:
    """The `webhooks` of the OpenAPI document. `reference` is a JSON reference with `{model}` for the model's name."""
    return {event: {"post": _webhook(event, reference)} for event in EVENT_TYPES}


def _webhook(event: str, reference: str) -> Schema:
    content = {"schema": {"$ref": reference.format(model=model_name(event))}}
    return {
        "operationId": f"on{event.capitalize()}",
        "summary": f"Event for a handler: {event}",
        "description": f"{EVENT_TYPES[event].meaning} Forms encode lists as `tags[]=a`, maps as `fields[a]=b`, and all "
        "values as text. Delivered at least once; use `event` to recognise repeats.",
        "security": [],
        "parameters": [
            {
                "name": header.name,
                "in": "header",
                "description": header.meaning,
                "schema": {"type": "string", "examples": [header.example]},
            }
            for header in HEADERS
            # OpenAPI ignores a parameter of this name; `requestBody` has the media type.
            if header.name != "Content-Type"
        ],
        "requestBody": {
            "required": True,
            "content": {"application/x-www-form-urlencoded": content, "application/json": content},
        },
        "responses": _ANSWERS,
    }

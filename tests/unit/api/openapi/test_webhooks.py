"""Agreement of the reference of events with the events that handlers get."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from api.openapi.webhooks import model_name, models, webhooks
from docs._generate.events import page
from domain.event_catalogue.samples import sample_fields
from domain.event_catalogue.triggers import EVENT_TYPES
from tests.paths import ROOT


def test_the_reference_page_is_current() -> None:
    """docs/reference/events.md is current; `python -m docs._generate.events` writes it."""
    assert (ROOT / "docs/reference/events.md").read_text() == page()


@pytest.mark.parametrize("event", EVENT_TYPES)
def test_samples_fit_the_reference(event: str) -> None:
    """A sample, like the example, has exactly the fields of a real event, with the types of the model."""
    model = models()[model_name(event)]
    closed = Draft202012Validator({**model, "additionalProperties": False})
    Draft202012Validator.check_schema(model)

    closed.validate(sample_fields(event, bytes(16), 0, {}))
    for example in model["examples"]:
        closed.validate(example)


#: Fields of the contract's section 5, by the triggers of the column "for".
MESSAGE = "open click delivery bounce failure abuse unsubscribe"
CONTRACT = {
    MESSAGE: "id message recipient tags mailing",
    f"{MESSAGE} create update delete": "event type timestamp time database profile fields interests",
    "open click unsubscribe": "ip useragent referer",
    "click": "original",
    "open click": "bot bot_reason first",
    "delivery failure": "code extended description",
    "failure": "action state",
    "failure bounce": "category permanent",
    "bounce abuse": "envelope mime mime_charset mime_truncated",
    "abuse": "emailfrom",
    "create update": "parameters changed",
    "create update delete": "created modified collection subprofile",
}
#: Fields of Copernica's webhooks that its pages document for these triggers. Existing scripts read them.
PROFILE = "type timestamp time profile subprofile collection database fields"
COPERNICA = {
    "create update": f"{PROFILE} interests parameters created modified",
    "delete": PROFILE,
    "open click": "id type timestamp time recipient tags ip useragent referer",
    "click": "original",
    "bounce": "id type timestamp time recipient tags envelope mime",
    "unsubscribe": "type timestamp time database profile mailing",
}


def _by_trigger(table: dict[str, str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for triggers, fields in table.items():
        for trigger in triggers.split():
            found.setdefault(trigger, set()).update(fields.split())
    return found


@pytest.mark.parametrize("event", EVENT_TYPES)
def test_each_webhook_has_the_contract_s_fields(event: str) -> None:
    """The document has a webhook for each of the ten triggers, with an example of each of its fields."""
    described = webhooks("#/components/schemas/{model}")
    content = described[event]["post"]["requestBody"]["content"]
    model = models()[model_name(event)]

    assert described.keys() == _by_trigger(CONTRACT).keys()
    assert content.keys() == {"application/x-www-form-urlencoded", "application/json"}
    assert all(each["schema"] == {"$ref": f"#/components/schemas/{model_name(event)}"} for each in content.values())
    # `proxy` comes with the new meaning of `bot`.
    assert model["properties"].keys() - {"proxy"} == _by_trigger(CONTRACT)[event]
    assert model["examples"][0].keys() == model["properties"].keys()
    assert model["properties"].keys() >= _by_trigger(COPERNICA).get(event, set())

"""The adapter on the page about SendGrid handles the service's POSTs."""

from __future__ import annotations

import base64
import json
import shlex
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from actors.delivery.lane_config import LaneConfig
from actors.delivery.request_builder import RequestBuilder
from actors.delivery.sample_events import sample_request
from actors.ports import HttpRequest
from api.cli.commands.loops import group
from domain.event_catalogue.event_fields import fields_of
from domain.event_catalogue.triggers import EVENT_TYPES, Trigger
from domain.loop_settings import LoopSettings
from domain.signing import SigningSecret
from tests.docs.snippets import snippets
from tests.paths import ROOT

PAGE = ROOT / "docs/how-to/sendgrid-style-code.md"
KEY = bytes(range(24))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
EVENT_ID = bytes(range(16))


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """Returns the names that the page's adapter defines."""
    _, adapter, _ = snippets(PAGE)
    names: dict[str, Any] = {}
    exec(compile(adapter.text, str(adapter), "exec"), names)
    return names


def post_of(trigger: Trigger, **data: Any) -> HttpRequest:
    """Returns the POST of a sample event to a loop with `format: json`. `data` overrides the sample's fields."""
    settings = LoopSettings(triggers=(trigger,), format="json")
    config = LaneConfig("fl_1", "acc_1", "https://example.com/hooks/mail", settings, (SigningSecret(KEY, None),))
    return sample_request(RequestBuilder(config, 1.0), trigger, EVENT_ID, time.time_ns() // 1_000_000, data)


def taken(page: dict[str, Any], post: HttpRequest) -> list[dict[str, Any]]:
    headers = {name.lower(): value for name, value in post.headers}
    array: list[dict[str, Any]] = page["receive"](SECRET, headers, post.body.decode())
    return array


def test_a_click_has_sendgrid_s_fields(page: dict[str, Any]) -> None:
    """Each field has SendGrid's name and type, and profile data never overwrites them."""
    fields = {"city": "Delft", "event": "summit", "email": "other@example.com"}
    post = post_of(Trigger.CLICK, id="m-1", tags=["spring"], time=1772357400, fields=fields)

    assert taken(page, post) == [
        {
            "city": "Delft",
            "event": "click",
            "email": "john.doe@example.com",
            "timestamp": 1772357400,
            "sg_event_id": json.loads(post.body)["event"],
            "sg_message_id": "m-1",
            "category": ["spring"],
            "url": "https://example.com/offer?id=1",
            "ip": "203.0.113.7",
            "useragent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        }
    ]


@pytest.mark.parametrize("trigger", list(Trigger))
def test_every_trigger_is_converted_as_in_the_table(trigger: Trigger, page: dict[str, Any]) -> None:
    """The adapter converts the events in the page's table, and drops events without a counterpart."""
    array = taken(page, post_of(trigger))

    assert [event["event"] for event in array] == [theirs for theirs, ours, _ in _rows() if ours == trigger.value]
    assert all({"email", "timestamp", "sg_event_id", "sg_message_id", "category"} <= set(event) for event in array)


def test_the_page_only_promises_what_this_version_sends() -> None:
    """Every trigger has a row: with SendGrid's event, or among those that the adapter drops."""
    rows = {ours: note for _, ours, note in _rows()}

    assert set(rows) == set(Trigger) - {Trigger.BOUNCE, Trigger.CREATE, Trigger.UPDATE, Trigger.DELETE}


def test_the_page_names_every_field() -> None:
    """The page lists every field that a handler may receive, with SendGrid's name or with none."""
    text = PAGE.read_text()

    missing = [field.name for trigger in EVENT_TYPES for field in fields_of(trigger) if f"`{field.name}`" not in text]
    assert missing == []


def test_machine_opens_are_marked(page: dict[str, Any]) -> None:
    """`sg_machine_open` is true for an open by a machine, as with SendGrid, and false for one by a person."""
    events = [*taken(page, post_of(Trigger.OPEN)), *taken(page, post_of(Trigger.OPEN, bot=1, bot_reason="proxy:apple"))]

    assert [event["sg_machine_open"] for event in events] == [False, True]


def test_a_server_s_response_is_included(page: dict[str, Any]) -> None:
    """The code of a failure precedes its reason, and `status` is its extended code."""
    failure, delivery = (taken(page, post_of(trigger))[0] for trigger in (Trigger.FAILURE, Trigger.DELIVERY))

    assert failure["reason"].startswith("550 5.1.1 <john.doe@example.com>")
    assert (failure["status"], delivery["response"]) == ("5.1.1", "250 2.0.0 Ok: queued as 4F1A2B3C4D")


def test_other_senders_are_refused(page: dict[str, Any]) -> None:
    """The adapter refuses a changed body, and a signature with another secret."""
    post = post_of(Trigger.OPEN)

    for changed in (post._replace(body=post.body + b" "), post._replace(headers=[*post.headers, _signed_by_another()])):
        with pytest.raises(WebhookVerificationError):
            taken(page, changed)


def test_the_command_is_valid() -> None:
    """The command line accepts the page's command, which creates a loop with JSON."""
    line, *_ = snippets(PAGE)

    options = group().parser.parse_args(shlex.split(line.text)[2:])

    assert (options.format, options.triggers) == ("json", ["open,click,unsubscribe"])


def _rows() -> list[tuple[str, str, str]]:
    """Returns SendGrid's name, ours and the note, for each row of the page's first table with both names."""
    lines = PAGE.read_text().partition("## Events")[2].partition("## ")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| `")]
    return [(theirs.strip("`"), ours.strip("`"), note) for theirs, ours, note in cells if ours != "none"]


def _signed_by_another() -> tuple[str, str]:
    other = Webhook("whsec_" + base64.b64encode(bytes(24)).decode())
    return "webhook-signature", other.sign("evt_1", datetime.now(UTC), "{}")

"""The handler on the page about Standard Webhooks libraries works with the library."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from api.cli.commands.loops import group
from tests.docs.snippets import snippets
from tests.paths import ROOT

PAGE = ROOT / "docs/how-to/standard-webhooks.md"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_handler_accepts_an_event_once_and_refuses_others(capsys: pytest.CaptureFixture[str]) -> None:
    """The handler accepts JSON that the service signed, and answers 401 to anything else."""
    _, handler = snippets(PAGE)
    names: dict[str, Any] = {}
    exec(compile(handler.text, str(handler), "exec"), names)
    now = datetime.now(UTC)
    body = json.dumps({"event": "evt_1", "type": "click", "recipient": "john@example.com"})
    headers = {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("evt_1", now, body),
    }
    known: set[str] = set()

    assert names["handle"](SECRET, headers, body, known) == 200
    assert names["handle"](SECRET, headers, body, known) == 200
    assert capsys.readouterr().out == "click john@example.com\n"
    assert names["handle"](SECRET, headers, body.replace("john", "jane"), known) == 401


def test_the_command_is_valid() -> None:
    """The command line accepts the page's command, which creates a loop with JSON."""
    line, _ = snippets(PAGE)

    options = group().parser.parse_args(shlex.split(line.text)[2:])

    assert (options.format, options.triggers) == ("json", ["open,click"])

"""`feedback-loops messages`: registered before they are sent."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from api.cli.api_client import Service
from api.cli.command_group import FAILED, MISUSED, OK, Group
from api.cli.console import Screen

MESSAGES: Final = "/v1/messages"
_STDIN: Final = Path("-")


def register(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    try:
        text = _text(options.lines or options.html)
    except (OSError, ValueError) as exc:
        screen.beside(f"feedback-loops messages: the file cannot be read: {exc}")
        return MISUSED
    if options.lines is not None:
        return _register_lines(service, screen, text)
    message = service.ask("POST", MESSAGES, json=_message(options, text))
    if screen.is_json:
        screen.json(message)
    elif options.html is not None:
        # Only the HTML goes to standard output, so that it can be piped.
        screen.beside(f"id {message['id']}; List-Unsubscribe: <{message['unsubscribe_url']}>")
        sys.stdout.write(message["html"])
    else:
        screen.facts({"id": message["id"], "pixel": message["open_url"], "unsubscribe": message["unsubscribe_url"]})
        if message["links"]:
            screen.say()
            screen.table(("link", "tracked"), message["links"].items(), "")
    return OK


def _text(file: Path | None) -> str:
    if file is None:
        return ""
    return sys.stdin.read() if file == _STDIN else file.read_text()


def _message(options: argparse.Namespace, html: str) -> dict[str, Any]:
    """The request body, with only the given fields."""
    body: dict[str, Any] = {
        "recipient": options.recipient,
        "id": options.id,
        "tags": options.tag,
        "mailing": options.mailing,
        "links": options.link,
        "html": html or None,
    }
    if options.profile is not None:
        database, _, profile = options.profile.partition("/")
        body["profile"] = {"database": database, "id": profile}
    return {name: value for name, value in body.items() if value}


def _register_lines(service: Service, screen: Screen, lines: str) -> int:
    """Prints the service's lines unchanged: each is a registered message or a problem."""
    answer = service.answer("POST", MESSAGES, content=lines.encode(), headers={"Content-Type": "application/x-ndjson"})
    sys.stdout.write(answer.text)
    results = [json.loads(line) for line in answer.text.splitlines()]
    refused = sum("open_url" not in result for result in results)
    screen.beside(f"{len(results) - refused} registered, {refused} refused")
    return FAILED if refused else OK


def group() -> Group:
    made = Group(
        "messages", "Messages: register them before you send them, so that their opens and clicks are tracked."
    )
    parser = made.command(
        "register",
        register,
        "register a message and show its tracking URLs",
        "john@example.com --tag spring --link https://example.com/",
        "Registers one message, or many with --lines. With --html, writes the mail's HTML to standard output, with "
        "tracked links and the pixel.",
    )
    one_or_many = parser.add_mutually_exclusive_group(required=True)
    one_or_many.add_argument("recipient", nargs="?", metavar="RECIPIENT", help="the recipient's e-mail address")
    one_or_many.add_argument(
        "--lines", type=Path, metavar="FILE", help="a file with one JSON object per line, as in the API; - reads stdin"
    )
    parser.add_argument("--id", metavar="ID", help="your id of the message; default: a new one")
    parser.add_argument("--tag", action="append", default=[], metavar="TAG", help="can be repeated")
    parser.add_argument("--mailing", metavar="ID", help="your id of its mailing")
    parser.add_argument(
        "--profile", metavar="DATABASE/ID", help="the recipient's profile, whose data is added to events"
    )
    parser.add_argument("--link", action="append", default=[], metavar="URL", help="a link to track; can be repeated")
    parser.add_argument("--html", type=Path, metavar="FILE", help="the mail's HTML; - reads stdin")
    return made

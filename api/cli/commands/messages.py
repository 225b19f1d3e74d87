"""`feedback-loops messages`: registered before they are sent."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
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
        # The HTML alone goes to standard output, so that it can be piped on.
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
    """The body, with what was given alone."""
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
    """Passes the service's lines on as they are: each is a registered message, or a problem."""
    answer = service.answer("POST", MESSAGES, content=lines.encode(), headers={"Content-Type": "application/x-ndjson"})
    sys.stdout.write(answer.text)
    results = [json.loads(line) for line in answer.text.splitlines()]
    refused = sum("open_url" not in result for result in results)
    screen.beside(f"{len(results) - refused} registered, {refused} refused")
    return FAILED if refused else OK


def group() -> Group:
    """The commands."""
    made = Group("messages", "Messages: registered before they are sent, so that their opens and clicks are known.")
    parser = made.command(
        "register",
        register,
        "register a message and show its tracking URLs",
        "john@example.com --tag spring --link https://example.com/",
        "Registers one message, or with --lines many. With --html the mail's HTML comes back on standard output, its "
        "links tracked and the pixel in it.",
    )
    one_or_many = parser.add_mutually_exclusive_group(required=True)
    one_or_many.add_argument("recipient", nargs="?", metavar="RECIPIENT", help="its e-mail address")
    one_or_many.add_argument(
        "--lines", type=Path, metavar="FILE", help="a JSON object per line, as the API takes them; - reads stdin"
    )
    parser.add_argument("--id", metavar="ID", help="your id of the message; one is made when it is left out")
    parser.add_argument("--tag", action="append", default=[], metavar="TAG", help="can be repeated")
    parser.add_argument("--mailing", metavar="ID", help="your id of the mailing it belongs to")
    parser.add_argument("--profile", metavar="DATABASE/ID", help="the recipient's profile, whose data events carry")
    parser.add_argument("--link", action="append", default=[], metavar="URL", help="to be tracked; can be repeated")
    parser.add_argument("--html", type=Path, metavar="FILE", help="the mail's HTML; - reads stdin")
    return made


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Carries the command out."""
    return group().run(arguments, environment)

"""`feedback-loops messages`: registered before they are sent."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from api.cli.api_client import Service, path, read_object
from api.cli.command_group import Group, limit
from api.cli.console import Screen, local_time
from api.cli.terminal import FAILED, MISUSED, OK, read_stdin

MESSAGES: Final = "/v1/messages"
_STDIN: Final = Path("-")


def register(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    try:
        text = _text(options.lines or options.html)
    except (OSError, ValueError) as exc:
        screen.beside(f"feedback-loops messages: the file cannot be read as UTF-8: {exc}")
        return MISUSED
    if options.lines is not None:
        return _register_lines(service, screen, text, options.only)
    message = service.ask("POST", MESSAGES, json=_message(options, text))
    if screen.is_json:
        screen.json(message)
    elif options.html is not None:
        # Only the HTML goes to standard output, so that it can be piped.
        screen.beside(f"id {message['id']}; List-Unsubscribe: <{message['unsubscribe_url']}>")
        for link in message.get("untracked", []):
            screen.beside(f"not tracked: {link['href'][:80]} {link['detail']}")
        sys.stdout.buffer.write(message["html"].encode())  # every byte as it was, whatever the terminal can show
    else:
        facts = {"id": message["id"], "pixel": message["open_url"], "unsubscribe": message["unsubscribe_url"]}
        if "return_path" in message:
            facts["return path"] = message["return_path"]
        screen.facts(facts)
        if message["links"]:
            screen.say()
            screen.table(("link", "tracked"), message["links"].items(), "")
    return OK


def list_messages(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    query = {name: getattr(options, name) for name in ("recipient", "tag", "mailing")}
    messages = list(service.items(MESSAGES, options.limit, **query))
    screen.json(messages)
    heads = ("id", "registered", "recipient", "tags", "mailing")
    screen.table(heads, map(_row, messages), "No such messages; `feedback-loops messages register` registers one.")
    return OK


def show(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    message = service.ask("GET", path(f"{MESSAGES}/{{}}", options.id))
    screen.json(message)
    facts = ("id", "recipient", "tags", "mailing", "reference", "open_url", "unsubscribe_url", "return_path")
    screen.facts({name.replace("_", " "): message[name] for name in facts if name in message})
    if message["links"] and not screen.is_json:
        screen.say()
        screen.table(("link", "tracked"), message["links"].items(), "")
    return OK


def _row(message: Mapping[str, Any]) -> list[Any]:
    registered = local_time(message["created_at"])
    return [message["id"], registered, message["recipient"], message["tags"], message["mailing"]]


def _text(file: Path | None) -> str:
    if file is None:
        return ""
    return read_stdin() if file == _STDIN else file.read_bytes().decode()


def _message(options: argparse.Namespace, html: str) -> dict[str, Any]:
    """The request body, with only the given fields."""
    body: dict[str, Any] = {
        "recipient": options.recipient,
        "id": options.id,
        "reference": options.reference,
        "tags": options.tag,
        "mailing": options.mailing,
        "links": options.link,
    }
    if options.html is not None:
        body["html"] = html
    if options.profile is not None:
        database, _, profile = options.profile.partition("/")
        body["profile"] = {"database": database, "id": profile}
    return {name: value for name, value in body.items() if value or name == "html"}


def _register_lines(service: Service, screen: Screen, lines: str, only: str | None) -> int:
    """Prints the service's lines unchanged: each is a registered message or a problem. Or `only` of each message."""
    answer = service.answer("POST", MESSAGES, content=lines.encode(), headers={"Content-Type": "application/x-ndjson"})
    results = [read_object(line, service.url) for line in answer.text.splitlines()]
    if only is None:
        sys.stdout.write(answer.text)
    else:
        sys.stdout.writelines(f"{result[only]}\n" for result in results if "open_url" in result)
    registered = sum("open_url" in result for result in results)
    # A blank line is neither: its answer is only its number.
    refused = sum("status" in result for result in results)
    screen.beside(f"{registered} registered, {refused} refused")
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
        makes="open_url or html",
    )
    one_or_many = parser.add_mutually_exclusive_group(required=True)
    one_or_many.add_argument("recipient", nargs="?", metavar="RECIPIENT", help="the recipient's e-mail address")
    one_or_many.add_argument(
        "--lines", type=Path, metavar="FILE", help="a file with one JSON object per line, as in the API; - reads stdin"
    )
    parser.add_argument("--id", metavar="ID", help="your id of the message; default: a new one")
    parser.add_argument("--reference", metavar="ID", help="its Message-ID or your provider's id, for reports")
    parser.add_argument("--tag", action="append", default=[], metavar="TAG", help="can be repeated")
    parser.add_argument("--mailing", metavar="ID", help="your id of its mailing")
    parser.add_argument(
        "--profile", metavar="DATABASE/ID", help="the recipient's profile, whose data is added to events"
    )
    parser.add_argument("--link", action="append", default=[], metavar="URL", help="a link to track; can be repeated")
    parser.add_argument("--html", type=Path, metavar="FILE", help="the mail's HTML; - reads stdin")
    showing = made.command("show", show, "show a message and its tracking URLs", "msg_…", makes="open_url or links")
    showing.add_argument("id", metavar="ID", help="the message's id")
    listing = made.command("list", list_messages, "list messages, newest first", "--tag spring", makes="recipient")
    listing.add_argument("--recipient", metavar="ADDRESS", help="only messages to this address")
    listing.add_argument("--tag", metavar="TAG", help="only messages with this tag")
    listing.add_argument("--mailing", metavar="ID", help="only messages of this mailing")
    listing.add_argument("--limit", type=limit, default=50, metavar="N", help="list at most N; default: 50")
    return made

"""`feedback-loops events`: the account's events as they come."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from rich.text import Text

from api.cli.api_client import Refused, Service, Unreachable, read_object
from api.cli.command_group import TIME_HELP, Group, limit, moment
from api.cli.commands.loops import TRIGGERS
from api.cli.console import Screen, local_time, printable
from api.cli.event_rendering import colour
from api.cli.report_commands import add_report_commands
from api.cli.terminal import OK

STREAM: Final = "/v1/events/stream"
#: Seconds without even a comment (the service sends one every 15 s) after which the connection is given up.
SILENCE_S: Final = 40.0
#: Seconds before connecting again, doubling from the first to the second.
FIRST_WAIT_S: Final = 1.0
LAST_WAIT_S: Final = 30.0
#: Fields that a line shows, as far as an event has them; the time, the type and the recipient come before.
_SHOWN: Final = (
    "original",
    "ip",
    "bot_reason",
    "code",
    "description",
    "category",
    "emailfrom",
    "envelope",
    "id",
    "tags",
)
#: The same for events without a message, which are about a profile, or about mail that matched no message.
_WITHOUT_MESSAGE: Final = (*_SHOWN, "database", "profile", "collection", "subprofile", "changed")


def server_events(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Id and data of each event of a stream (HTML Living Standard, 9.2.6); comments and retry times are passed over."""
    last_id, data = "", list[str]()
    for line in lines:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield last_id, "\n".join(data)
            data = []
        elif name == "data":
            data.append(value)
        elif name == "id":
            last_id = value


def tail(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    query = {name: getattr(options, name) for name in ("type", "recipient") if getattr(options, name) is not None}
    if not screen.is_json:
        screen.beside("waiting for events; press Ctrl-C to stop")
    for event in islice(_events(service, screen, query), options.count):
        screen.line(event, _line(event))
    return OK


def list_events(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    query = {name: getattr(options, name) for name in ("type", "message", "recipient", "since", "until")}
    events = list(service.items("/v1/events", options.limit, **query))
    screen.json(events)
    rows = (
        [e["id"], local_time(e["time"]), e["type"], e["fields"].get("recipient"), _details(e).plain] for e in events
    )
    screen.table(("id", "time", "type", "recipient", "details"), rows, "No such events.")
    return OK


def _events(service: Service, screen: Screen, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    """Events without end: a connection that breaks is made again, and goes on where it was.

    Raises:
        Unreachable: there was no connection yet, so the URL may be wrong.
    """
    last_id, wait_s, was_connected = "", FIRST_WAIT_S, False
    while True:
        try:
            headers = {"Last-Event-ID": last_id} if last_id else {}
            with service.stream(STREAM, SILENCE_S, params=dict(query), headers=headers) as lines:
                was_connected = True
                for event_id, data in server_events(lines):
                    event = read_object(data, service.url)
                    if "fields" in event:
                        last_id, wait_s = event_id, FIRST_WAIT_S
                        yield event
                    else:  # about the stream itself: a gap, or its end
                        screen.beside(event["detail"])
        except (Unreachable, Refused) as exc:
            if not was_connected or (isinstance(exc, Refused) and not exc.is_passing):
                raise
            screen.beside(f"{exc}; trying again in {wait_s:g} s")
        time.sleep(wait_s)
        wait_s = min(2 * wait_s, LAST_WAIT_S)


def _line(event: Mapping[str, Any]) -> Text:
    kind = printable(event["type"])
    text = Text.assemble((local_time(event["time"]).plain, "dim"), "  ", (f"{kind:11}", f"bold {colour(kind)}"))
    text.append(printable(str(event["fields"].get("recipient", ""))))
    details = _details(event)
    return text.append("  ").append_text(details) if details else text


def _details(event: Mapping[str, Any]) -> Text:
    """The fields that matter most, as far as the event has them."""
    found: list[Text] = []
    fields = event["fields"]
    for name in _SHOWN if "id" in fields else _WITHOUT_MESSAGE:
        value = fields.get(name)
        if value:
            shown = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            found.append(Text.assemble((f"{name}=", "dim"), printable(shown)))
    return Text("  ").join(found)


def group() -> Group:
    made = Group("events", "Events: what happened to your messages, and reports of what happened.")
    tailing = made.command(
        "tail",
        tail,
        "show events as they are recorded",
        "--type click",
        "Shows one line per event as it is recorded, until Ctrl-C; --json shows all fields. If "
        "the connection breaks, the command reconnects and continues where it stopped.",
    )
    tailing.add_argument("--type", choices=TRIGGERS, metavar="TRIGGER", help=f"only these: {', '.join(TRIGGERS)}")
    tailing.add_argument("--recipient", metavar="ADDRESS", help="only events of messages to this address")
    listing = made.command("list", list_events, "list events, newest first", "--type click --since 1h", makes="type")
    listing.add_argument("--type", choices=TRIGGERS, metavar="TRIGGER", help="only events of this type")
    listing.add_argument("--message", metavar="ID", help="only events of this message")
    listing.add_argument("--recipient", metavar="ADDRESS", help="only events of messages to this address")
    listing.add_argument("--since", type=moment, metavar="TIME", help=f"only events since: {TIME_HELP}")
    listing.add_argument("--until", type=moment, metavar="TIME", help="only events before")
    listing.add_argument("--limit", type=limit, default=50, metavar="N", help="list at most N; default: 50")
    tailing.add_argument("--count", type=limit, metavar="N", help="stop after N events")
    add_report_commands(made)
    return made

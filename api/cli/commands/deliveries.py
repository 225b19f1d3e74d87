"""`feedback-loops deliveries`: what a loop was owed, and what came of it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any, Final

from rich.text import Text

from api.cli.api_client import Service, path
from api.cli.command_group import TIME_HELP, Group, limit, moment
from api.cli.commands.loops import TRIGGERS, loop_command
from api.cli.console import Screen, local_time, state
from api.cli.loop_files import LOOP
from api.cli.terminal import OK

DELIVERY: Final = "/v1/deliveries/{}"
STATES: Final = ("pending", "delivered", "dead", "erased")


def list_deliveries(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    query = {name: getattr(options, name) for name in ("state", "type", "since", "until")}
    deliveries = list(service.items(path(f"{LOOP}/deliveries", options.loop), options.limit, **query))
    screen.json(deliveries)
    heads = ("id", "created", "type", "state", "attempts", "last answer", "next attempt")
    screen.table(heads, map(_row, deliveries), "No such deliveries.")
    if len(deliveries) == options.limit:
        screen.say(f"There may be more: raise --limit above {options.limit}, or use --since and --until.")
    return OK


def _row(delivery: Mapping[str, Any]) -> list[Any]:
    attempts = delivery["attempts"]
    return [
        delivery["id"],
        local_time(delivery["created_at"]),
        delivery["type"],
        state(delivery["state"]),
        len(attempts),
        _answer(attempts[-1]) if attempts else None,
        local_time(delivery["next_attempt_at"]),
    ]


def _answer(attempt: Mapping[str, Any]) -> Text:
    word = attempt["error"]
    status = attempt["status"]
    if word is None:
        return Text(f"{status}", "green")
    return Text(word if status is None else f"{status} {word}", "red")


def show(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    return _show(screen, service.ask("GET", path(DELIVERY, options.delivery)))


def retry(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    _show(screen, service.ask("POST", path(f"{DELIVERY}/retry", options.delivery)))
    screen.say("It is being retried; `feedback-loops deliveries show` shows the result.")
    return OK


def _show(screen: Screen, delivery: Mapping[str, Any]) -> int:
    screen.json(delivery)
    screen.facts(
        {
            "id": delivery["id"],
            "event": delivery["event"],
            "type": delivery["type"],
            "state": state(delivery["state"]),
            "created": local_time(delivery["created_at"]),
            "next attempt": local_time(delivery["next_attempt_at"]),
        }
    )
    screen.say()
    rows = (
        [a["number"], local_time(a["time"]), _answer(a), f"{a['duration_ms']} ms", a["address"], _body(a)]
        for a in delivery["attempts"]
    )
    screen.table(("attempt", "time", "answer", "took", "address", "body"), rows, "No attempt yet.")
    return OK


def _body(attempt: Mapping[str, Any]) -> str | None:
    excerpt: str = attempt["response_excerpt"]
    if attempt["status"] is None:
        return excerpt or None  # what came in place of an answer has no body
    return f"{excerpt} ({attempt['response_bytes']} bytes)" if excerpt else None


def group() -> Group:
    made = Group("deliveries", "Deliveries of a feedback loop, each with its attempts.")
    what = "list a loop's deliveries, newest first"
    listing = loop_command(made, "list", list_deliveries, what, "fl_… --state dead", makes="event")
    listing.add_argument("--state", choices=STATES, help="only deliveries in this state")
    listing.add_argument("--type", choices=TRIGGERS, metavar="TRIGGER", help="only of events of this type")
    listing.add_argument("--since", type=moment, metavar="TIME", help=f"only those created since: {TIME_HELP}")
    listing.add_argument("--until", type=moment, metavar="TIME", help="only those created before")
    listing.add_argument("--limit", type=limit, default=50, metavar="N", help="list at most N; default: 50")
    for name, act, what in (
        ("show", show, "show a delivery and each of its attempts"),
        ("retry", retry, "retry a delivery now, whatever its state"),
    ):
        made.command(name, act, what, "dlv_…").add_argument("delivery", metavar="DELIVERY", help="its id, dlv_…")
    return made

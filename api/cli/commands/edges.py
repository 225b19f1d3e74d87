"""`feedback-loops edges`: the front ends that share a store, with the admin key."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from api.cli.api_client import Service, path
from api.cli.command_group import ADMIN, Group
from api.cli.confirmation import refusal
from api.cli.console import Screen, local_time
from api.cli.help import whole_number
from api.cli.terminal import FAILED, MISUSED, OK

FRONT_ENDS: Final = "/v1/front-ends"
FRONT_END: Final = FRONT_ENDS + "/{}"


def list_edges(service: Service, screen: Screen, _options: argparse.Namespace) -> int:
    found = service.ask("GET", FRONT_ENDS)
    screen.json(found)
    screen.table(
        ("id", "host", "last seen", "erasures that wait", "held up by"),
        [
            (each["id"], each["name"], local_time(each["confirmed_at"]), str(each["erasures"]), each["problem"] or "-")
            for each in found["data"]
        ],
        "no front end has been started yet",
    )
    return OK


def forget(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    if (options.name is None) == (options.unseen is None):
        screen.beside("feedback-loops edges forget: give either the NAME of a front end or --unseen DAYS")
        return MISUSED
    found = service.ask("GET", FRONT_ENDS)["data"]
    chosen = _unseen(found, options.unseen) if options.name is None else _named(found, options.name)
    if options.name is not None and len(chosen) != 1:
        ids = ", ".join(each["id"] for each in chosen)
        screen.beside(
            f"feedback-loops edges forget: several front ends are on {options.name}: name one by its id, {ids}"
            if chosen
            else f"feedback-loops edges forget: there is no front end {options.name}: see `feedback-loops edges list`"
        )
        return FAILED
    if not chosen:
        screen.say("Every front end was seen since then.")
        return OK
    names = ", ".join(f"{each['name']} ({each['id']})" for each in chosen)
    screen.beside(
        f"{names}: what was answered there and not forwarded stays on that disk, and so does the data of people whose "
        "erasures complete without it."
    )
    question = "Forget? Only what will not come back."
    if (code := refusal(screen, "feedback-loops edges forget", question, yes=options.yes)) is not None:
        return code
    for each in chosen:
        service.ask("DELETE", path(FRONT_END, each["id"]))
    screen.say(f"Forgotten: {names}. No erasure and no rotation of keys waits for that.")
    return OK


def _named(front_ends: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The front ends with this id, or on this host."""
    return [each for each in front_ends if name == each["id"]] or [each for each in front_ends if name == each["name"]]


def _unseen(front_ends: list[dict[str, Any]], days: float) -> list[dict[str, Any]]:
    """The front ends that have not been seen for so long."""
    since = datetime.now(UTC) - timedelta(days=days)
    return [each for each in front_ends if datetime.fromisoformat(each["confirmed_at"]) < since]


def group() -> Group:
    made = Group("edges", "Front ends: each has a journal and a copy of the installation's keys.", ADMIN)
    made.command("list", list_edges, "list the front ends, and how many erasures wait for each")
    forgetting = made.command(
        "forget",
        forget,
        "stop waiting for a front end that is gone",
        "edge-2",
        "Forgets a front end that will not come back: erasures of people and rotations of keys do not wait for it.",
    )
    forgetting.add_argument("name", metavar="NAME", nargs="?", help="its host or its id, from `edges list`")
    forgetting.add_argument(
        "--unseen",
        metavar="DAYS",
        type=whole_number(1, 10_000),
        help="all that were not seen for so many days, for machines that come and go",
    )
    forgetting.add_argument("--yes", action="store_true", help="do not ask for confirmation")
    return made

"""Commands of `feedback-loops keys` about the installation's keys, with the admin key."""

from __future__ import annotations

import argparse
from typing import Any, Final

from api.cli.api_client import Service, path
from api.cli.command_group import ADMIN, Group
from api.cli.confirmation import refusal
from api.cli.console import Screen
from api.cli.terminal import OK

KEYS: Final = "/v1/installation-keys"
KEY: Final = KEYS + "/{}"


def _show(screen: Screen, status: dict[str, Any]) -> None:
    screen.json(status)
    screen.facts(
        {
            "installation": status["installation"],
            "master key": status["master_key"],
            "next master key": status["next_master_key"] or "none",
            "loops to follow": status["loops_to_follow"],
        }
    )
    screen.say()
    screen.table(
        ("key", "state", "signs since", "signed until"),
        [(str(k["id"]), k["state"], k["signs_since"] or "-", k["signed_until"] or "-") for k in status["keys"]],
        "there are no keys",
    )
    screen.say()
    screen.table(
        ("front end", "host", "generation", "master key", "awaited"),
        [
            (f["id"], f["name"], str(f["generation"]), f["master_key"], "yes" if f["is_awaited"] else "no")
            for f in status["front_ends"]
        ],
        "no front end has confirmed its keys yet",
    )


def status(service: Service, screen: Screen, _options: argparse.Namespace) -> int:
    _show(screen, service.ask("GET", KEYS))
    return OK


def rotate_installation(service: Service, screen: Screen, _options: argparse.Namespace) -> int:
    _show(screen, service.ask("POST", f"{KEYS}/rotate", json={}))
    return OK


def rotate_master(service: Service, screen: Screen, _options: argparse.Namespace) -> int:
    _show(screen, service.ask("POST", f"{KEYS}/rotate-master", json={}))
    return OK


def drop_old(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    use = service.ask("GET", path(KEY, options.id))
    screen.beside(
        f"Installation key {options.id}: the links of {use['messages']} messages, {use['passwords']} passwords, the "
        f"secrets of {use['secrets']} loops and the headers of {use['headers']} loops end with it."
    )
    question = "Dropping a key cannot be undone. Drop it?"
    if (code := refusal(screen, "feedback-loops keys", question, yes=options.yes)) is not None:
        return code
    _show(screen, service.ask("DELETE", path(KEY, options.id)))
    return OK


def add_to(group: Group) -> None:
    """Adds the commands to the group `keys`."""
    group.command("status", status, "show the installation's keys, and which front ends have them", credentials=ADMIN)
    group.command(
        "rotate-installation",
        rotate_installation,
        "add an installation key",
        "",
        "Adds an installation key, for example after a leak. It signs once every front end has it; then the secrets of "
        "all loops are rotated. Links, passwords and secrets of former keys stay valid until `drop-old`.",
        credentials=ADMIN,
    )
    group.command(
        "rotate-master",
        rotate_master,
        "replace the master key",
        "",
        "Wraps the installation's keys for the next master key. No link, secret or password changes. On one machine, "
        "the service creates the next master key. On several, first put it into `master.key.next` of each data "
        "directory, or into the file that FEEDBACK_LOOPS_NEXT_MASTER_KEY_FILE names.",
        credentials=ADMIN,
    )
    dropping = group.command(
        "drop-old",
        drop_old,
        "drop an old installation key",
        "1",
        "Shows how many links, passwords, secrets and headers end with an old installation key, and drops it.",
        credentials=ADMIN,
    )
    dropping.add_argument("id", metavar="ID", help="the key's number, from `keys status`")
    dropping.add_argument("--yes", action="store_true", help="do not ask for confirmation")

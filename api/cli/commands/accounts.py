"""`feedback-loops accounts`: tenants, opened with the admin key."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from api.cli.api_client import Service
from api.cli.command_group import API_KEY_VARIABLE, OK, Group
from api.cli.console import Screen

ADMIN_KEY_VARIABLE: Final = "FEEDBACK_LOOPS_ADMIN_KEY"
#: Where `serve` writes the key it makes at its first start, unless it is told another data directory.
ADMIN_KEY_FILE: Final = Path("var/admin.key")


def create(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    account = service.ask("POST", "/v1/accounts", json={"name": options.name})
    if screen.is_json:
        screen.json(account)
        return OK
    screen.facts({"id": account["id"], "name": account["name"], "API key": account["api_key"]})
    screen.say()
    screen.say("The key is shown only once. For the other commands:")
    screen.say(f"  export {API_KEY_VARIABLE}={account['api_key']}")
    return OK


def group() -> Group:
    """The subcommands."""
    made = Group(
        "accounts",
        "Accounts: each has its own loops, messages and events.",
        key_name=f"the admin key (read from {ADMIN_KEY_FILE} if neither is given)",
        key_variable=ADMIN_KEY_VARIABLE,
    )
    creating = made.command("create", create, "open an account and show its API key", "Example")
    creating.add_argument("name", metavar="NAME", help="its name, for people")
    return made


def written_key() -> str | None:
    """The admin key that `serve` wrote here, if it did."""
    try:
        return ADMIN_KEY_FILE.read_text().strip()
    except (OSError, ValueError):
        return None


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs the command."""
    return group().run(arguments, environment, written_key())

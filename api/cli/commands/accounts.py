"""`feedback-loops accounts`: tenants, opened with the admin key."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from api.cli.api_client import Service
from api.cli.command_group import API_KEY_VARIABLE, OK, Group
from api.cli.console import Screen

ADMIN_KEY_VARIABLE: Final = "FEEDBACK_LOOPS_ADMIN_KEY"
#: Where `serve` writes the key it makes at its first start, unless it has another data directory.
ADMIN_KEY_FILE: Final = Path("var/admin.key")


def create(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    account = service.ask("POST", "/v1/accounts", json={"name": options.name})
    screen.json(account)
    screen.facts({"id": account["id"], "name": account["name"], "API key": account["api_key"]})
    screen.say()
    screen.say("The key is shown only once. For the other commands:")
    screen.say(f"  export {API_KEY_VARIABLE}={account['api_key']}")
    return OK


def admin_group(name: str, description: str) -> Group:
    """A group of commands that need the admin key."""
    key_name = f"the admin key (read from {ADMIN_KEY_FILE} if neither is given)"
    return Group(name, description, key_name=key_name, key_variable=ADMIN_KEY_VARIABLE, key_file=ADMIN_KEY_FILE)


def group() -> Group:
    made = admin_group("accounts", "Accounts: each has its own loops, messages and events.")
    creating = made.command("create", create, "open an account and show its API key", "Example")
    creating.add_argument("name", metavar="NAME", help="the account's name")
    return made

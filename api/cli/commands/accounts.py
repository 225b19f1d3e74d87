"""`feedback-loops accounts`: tenants, opened with the admin key."""

from __future__ import annotations

import argparse
from typing import Final

from api.cli.api_client import Service
from api.cli.command_group import ADMIN, API_KEY_VARIABLE, Group, limit
from api.cli.console import Screen
from api.cli.terminal import OK

ACCOUNTS: Final = "/v1/accounts"


def create(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    account = service.ask("POST", ACCOUNTS, json={"name": options.name})
    screen.json(account)
    screen.facts({"id": account["id"], "name": account["name"], "API key": account["api_key"]})
    screen.say()
    screen.say("The key is shown only once. For the other commands:")
    screen.say(f"  export {API_KEY_VARIABLE}={account['api_key']}")
    return OK


def list_accounts(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    accounts = list(service.items(ACCOUNTS, options.limit))
    screen.json(accounts)
    screen.table(("id", "name"), [(each["id"], each["name"]) for each in accounts], "There are no accounts yet.")
    return OK


def admin_group(name: str, description: str) -> Group:
    """A group of commands that need the admin key."""
    return Group(name, description, ADMIN)


def group() -> Group:
    made = admin_group("accounts", "Accounts: each has its own loops, messages and events.")
    what = "open an account and show its API key"
    creating = made.command("create", create, what, "Example", makes="api_key")
    creating.add_argument("name", metavar="NAME", help="the account's name")
    listing = made.command("list", list_accounts, "list the accounts, oldest first", makes="name")
    listing.add_argument("--limit", type=limit, default=1000, metavar="N", help="list at most N; default: 1000")
    return made

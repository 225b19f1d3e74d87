"""`feedback-loops keys`: the API keys of an account, with one of them."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

from api.cli.api_client import Service, path
from api.cli.command_group import OK, Group
from api.cli.console import Screen


def create(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    made = service.ask("POST", "/v1/api-keys", json={"name": options.name})
    if screen.is_json:
        screen.json(made)
        return OK
    screen.facts({"id": made["id"], "name": made["name"], "API key": made["api_key"]})
    screen.say()
    screen.say("The key is shown this once. It opens all that is the account's.")
    return OK


def list_(service: Service, screen: Screen, _options: argparse.Namespace) -> int:
    found = service.ask("GET", "/v1/api-keys")
    if screen.is_json:
        screen.json(found)
        return OK
    screen.table(
        ("id", "name", "created", "last used"),
        [(key["id"], key["name"], key["created_at"], key["last_used_at"] or "never") for key in found["data"]],
        "the account has no keys",
    )
    return OK


def revoke(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    service.ask("DELETE", path("/v1/api-keys/{}", options.id))
    screen.say(f"{options.id} is refused within seconds.")
    return OK


def group() -> Group:
    """The commands."""
    made = Group("keys", "API keys of the account: so that one can take another's place, and a lost one be revoked.")
    creating = made.command("create", create, "make another key and show it", '"Shop, since March"')
    creating.add_argument("name", metavar="NAME", help="what it is for: it is what the list shows")
    made.command("list", list_, "show which keys there are, and when each was last used")
    revoking = made.command(
        "revoke",
        revoke,
        "have a key open nothing any more",
        "key_0190…",
        "Has a key open nothing any more; the one that is used for this, too.",
    )
    revoking.add_argument("id", metavar="ID", help="as `keys list` shows it")
    return made


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Carries the command out."""
    return group().run(arguments, environment)

"""`feedback-loops keys`: the API keys of an account, with one of them, and the installation's own keys."""

from __future__ import annotations

import argparse

from api.cli.api_client import Service, path
from api.cli.command_group import Group
from api.cli.commands import installation_keys
from api.cli.console import Screen
from api.cli.terminal import OK


def create(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    made = service.ask("POST", "/v1/api-keys", json={"name": options.name})
    screen.json(made)
    screen.facts({"id": made["id"], "name": made["name"], "API key": made["api_key"]})
    screen.say()
    screen.say("The key is shown only once. It gives access to the whole account.")
    return OK


def list_(service: Service, screen: Screen, _options: argparse.Namespace) -> int:
    found = service.ask("GET", "/v1/api-keys")
    screen.json(found)
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
    made = Group(
        "keys",
        "API keys of the account: add one to replace another, revoke a lost one. With the admin key: the keys that the "
        "installation signs links with.",
    )
    creating = made.command("create", create, "create a key and show it", '"Shop, since March"', makes="api_key")
    creating.add_argument("name", metavar="NAME", help="its purpose, as shown in the list")
    made.command("list", list_, "list the keys, newest first, with the time of their last use", makes="name")
    revoking = made.command(
        "revoke",
        revoke,
        "revoke a key",
        "key_0190…",
        "Revokes a key; it may be the one used for this command.",
    )
    revoking.add_argument("id", metavar="ID", help="the key's id, from `keys list`")
    installation_keys.add_to(made)
    return made

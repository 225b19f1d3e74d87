"""`feedback-loops users`: who can sign in to the dashboard, with the admin key."""

from __future__ import annotations

import argparse
from typing import Any

from api.cli.api_client import Service, path
from api.cli.command_group import Group
from api.cli.commands.accounts import admin_group
from api.cli.console import Screen
from api.cli.terminal import FAILED, OK


def create(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    body = {"email": options.email}
    body |= {"account": options.account} if options.account else {"account_name": options.account_name or options.email}
    return _tell_password(service.ask("POST", "/v1/users", json=body), screen)


def _tell_password(user: dict[str, Any], screen: Screen) -> int:
    screen.json(user)
    screen.facts({"id": user["id"], "e-mail": user["email"], "account": user["account"], "password": user["password"]})
    screen.say()
    screen.say("The password is shown only once. Change it in the dashboard, under Account.")
    return OK


def list_(service: Service, screen: Screen, _options: argparse.Namespace) -> int:
    found = service.ask("GET", "/v1/users")
    screen.json(found)
    screen.table(
        ("e-mail", "account", "id"),
        [(user["email"], f"{user['account_name']} ({user['account']})", user["id"]) for user in found["data"]],
        "nobody can sign in yet",
    )
    return OK


def _id_of(service: Service, screen: Screen, email: str) -> str | None:
    """The id of the user with this e-mail address or id, or None with an error on the screen."""
    users = service.ask("GET", "/v1/users")["data"]
    found = next((str(user["id"]) for user in users if email.lower() in {user["email"], user["id"]}), None)
    if found is None:
        screen.beside(f"feedback-loops users: there is no user {email}; `users list` shows all users")
    return found


def password(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    user_id = _id_of(service, screen, options.email)
    if user_id is None:
        return FAILED
    return _tell_password(service.ask("POST", path("/v1/users/{}/password", user_id)), screen)


def remove(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    user_id = _id_of(service, screen, options.email)
    if user_id is None:
        return FAILED
    service.ask("DELETE", path("/v1/users/{}", user_id))
    screen.say(f"{options.email} can no longer sign in.")
    return OK


def group() -> Group:
    made = admin_group("users", "Users of the dashboard; each belongs to one account.")
    creating = made.command(
        "create", create, "create a user and show the password", "ann@example.com", makes="password or account"
    )
    creating.add_argument("email", metavar="EMAIL", help="the user's e-mail address")
    which = creating.add_mutually_exclusive_group()
    which.add_argument("--account", metavar="ID", help="the user's account; default: a new one")
    which.add_argument("--account-name", metavar="NAME", help="the new account's name; default: the e-mail address")
    made.command("list", list_, "list the users", makes="email")
    for name, act, what in (
        ("password", password, "set a new password and show it"),
        ("remove", remove, "remove a user's access"),
    ):
        one = made.command(name, act, what, "ann@example.com")
        one.add_argument("email", metavar="EMAIL", help="e-mail address or id")
    return made

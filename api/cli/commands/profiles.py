"""`feedback-loops profiles`: the data of the account's recipients, and of their subprofiles."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from api.cli.api_client import Service, path, read_object
from api.cli.command_group import Group
from api.cli.console import Screen
from api.cli.terminal import FAILED, MISUSED, OK, read_stdin

_STDIN: Final = Path("-")


def _path(options: argparse.Namespace) -> str:
    profile = path("/v1/databases/{}/profiles/{}", options.database, options.id)
    if options.subprofile is None:
        return profile
    return profile + path("/collections/{}/subprofiles/{}", *options.subprofile)


def show(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    _print(screen, service.ask("GET", _path(options)))
    return OK


def put(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    return _write(service, screen, options, "PUT", {"fields": {}})


def patch(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    return _write(service, screen, options, "PATCH", {})


def _write(service: Service, screen: Screen, options: argparse.Namespace, method: str, body: dict[str, Any]) -> int:
    if options.fields is not None:
        try:
            body["fields"] = json.loads(options.fields)
        except ValueError as exc:
            screen.beside(f"feedback-loops profiles: the fields are not JSON: {exc}")
            return MISUSED
    if options.interest:
        body["interests"] = options.interest
    _print(screen, service.ask(method, _path(options), json=body))
    return OK


def delete(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    service.ask("DELETE", _path(options))
    screen.say("deleted")
    return OK


def import_(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    """Prints the service's lines unchanged: each is a result or a problem."""
    try:
        lines = read_stdin().encode() if options.file == _STDIN else options.file.read_bytes()
    except (OSError, ValueError) as exc:
        screen.beside(f"feedback-loops profiles: the file cannot be read as UTF-8: {exc}")
        return MISUSED
    answer = service.answer(
        "PUT",
        path("/v1/databases/{}/profiles", options.database),
        content=lines,
        params={"events": "none" if options.no_events else "all"},
        headers={"Content-Type": "application/x-ndjson"},
    )
    sys.stdout.write(answer.text)
    results = [read_object(line, service.url) for line in answer.text.splitlines()]
    written = sum("result" in result for result in results)
    refused = sum("status" in result for result in results)
    screen.beside(f"{written} imported, {refused} refused")
    return FAILED if refused else OK


def _print(screen: Screen, profile: dict[str, Any]) -> None:
    screen.json(profile)
    interests = ", ".join(profile["interests"])
    fields = json.dumps(profile["fields"], ensure_ascii=False)
    screen.facts(profile | {"fields": fields, "interests": interests})


def group() -> Group:
    made = Group("profiles", "Profiles: the data of your recipients, which events contain, and its changes.")
    one = "1 123"
    put_parser = made.command(
        "put",
        put,
        "create a profile or replace its data",
        f'{one} --fields \'{{"name": "John"}}\' --interest sailing',
        "Creates a profile or subprofile, or replaces all its data. Handlers receive `create` or `update`, unless "
        "nothing changed.",
    )
    patch_parser = made.command(
        "patch",
        patch,
        "change some fields of a profile",
        f"{one} --fields '{{\"name\": null}}'",
        "Changes the given fields and keeps the others; null removes a field. Interests replace all interests.",
    )
    show_parser = made.command("show", show, "show a profile", one)
    delete_parser = made.command(
        "delete",
        delete,
        "delete a profile",
        one,
        "Deletes a profile with its subprofiles, or one subprofile. Handlers receive a `delete` for each.",
    )
    for parser in (put_parser, patch_parser, show_parser, delete_parser):
        parser.add_argument("database", metavar="DATABASE", help="the profile's database")
        parser.add_argument("id", metavar="ID", help="the profile's id")
        parser.add_argument(
            "--subprofile", nargs=2, metavar=("COLLECTION", "ID"), help="this subprofile of it, instead of the profile"
        )
    for parser in (put_parser, patch_parser):
        parser.add_argument("--fields", metavar="JSON", help="an object")
        parser.add_argument("--interest", action="append", default=[], metavar="NAME", help="can be repeated")
    import_parser = made.command(
        "import",
        import_,
        "create or replace many profiles",
        "1 profiles.ndjson --no-events",
        "Reads one JSON object per line, with `id`, `fields` and `interests`, and shows what became of each.",
    )
    import_parser.add_argument("database", metavar="DATABASE", help="the profiles' database")
    import_parser.add_argument("file", type=Path, metavar="FILE", help="the file; - reads stdin")
    import_parser.add_argument("--no-events", action="store_true", help="send handlers nothing about this import")
    return made

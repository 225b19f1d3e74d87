"""`feedback-loops`: the command line. A command's code is loaded when it is asked for, so help is there at once."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import ModuleType
from typing import Any, Final

from api.cli.help import Parser
from api.cli.terminal import MISUSED, guarded, prepare_streams, unreadable_argument

COMMANDS: Final = {
    "demo": "show the whole service at work on this machine, in 30 seconds",
    "serve": "run the service",
    "listen": "run a sample handler that shows the events it receives",
    "accounts": "open and list accounts",
    "users": "let people sign in to the dashboard",
    "keys": "API keys of an account, and the keys of the installation",
    "edges": "list the front ends, and forget one that is gone",
    "loops": "create, verify, test, pause and inspect feedback loops",
    "messages": "register messages to track, and list them",
    "profiles": "write, show, import and delete profiles",
    "events": "list events, show them as they arrive, and report what happened",
    "reports": "show what became of reports and returned mails",
    "deliveries": "show deliveries and their attempts, and retry one",
    "replay": "deliver events again",
    "export": "write everything that is kept about a person",
    "erase": "erase a person, and show the progress",
    "doctor": "find problems, and explain how to fix them",
    "backup": "copy a data directory while its service runs",
    "restore": "restore a backup into a new data directory",
    "init": "make a new installation, for `serve --no-init`",
    "rekey": "give a stopped service new keys, because its master key is lost",
    "journal": "import a journal that was moved aside",
    "assets": "write systemd units, a Compose file, alert rules and a Grafana dashboard",
    "migrate": "move the ledger from SQLite to PostgreSQL",
    "compact": "rewrite the ledger, so that its files hold nothing that was erased",
    "bench": "send clicks to a running service, and measure its speed",
}

DESCRIPTION: Final = (
    "Self-hosted e-mail event webhooks: opens, clicks, unsubscribes and reported bounces, POSTed to your own script."
)


class _Version(argparse.Action):
    """Shows the version, whose module reads all code and takes a fifth of the time of a short command."""

    def __init__(self, **options: Any) -> None:
        super().__init__(nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from actors.version import VERSION  # noqa: PLC0415

        sys.stdout.write(f"feedback-loops {VERSION}\n")
        parser.exit()


def command_module(command: str) -> ModuleType:
    """The module of a command: with a `group()` of subcommands, or with a `run(arguments, environment)`.

    Either `run` returns the exit code.
    """
    return import_module("api.cli.doctor.command" if command == "doctor" else f"api.cli.commands.{command}")


def parser() -> Parser:
    """The parser of everything up to the command's name."""
    width = max(map(len, COMMANDS))
    listing = "\n".join(f"  {name:{width}}  {what}" for name, what in COMMANDS.items())
    made = Parser(
        prog="feedback-loops",
        usage="feedback-loops [--version] COMMAND …",
        description=DESCRIPTION,
        epilog=f"commands:\n{listing}\n\n`feedback-loops COMMAND --help` explains a command. New here? Try the demo.",
    )
    made.add_argument("--version", action=_Version, help="show the version")
    made.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of the commands below")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command and exits with its code: 0 success, 1 failure, 2 wrong usage.

    Commands that use a running service exit with 3 if there is none. Ctrl-C is 130.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    prepare_streams()
    # Only up to the command: the rest belongs to the command.
    at = next((n for n, word in enumerate(given) if not word.startswith("-")), len(given))
    command = given[at] if at < len(given) and given[at] in COMMANDS else ""
    sys.exit(guarded(f"feedback-loops {command}".rstrip(), lambda: _run(given, at)))


def _run(given: Sequence[str], at: int) -> int:
    if not given:
        parser().print_help()
        return MISUSED
    if problem := unreadable_argument(given):
        sys.stderr.write(f"feedback-loops: {problem}\n")
        return MISUSED
    command = parser().parse_args(given[: at + 1]).command
    module = command_module(command)
    run: Callable[[Sequence[str], Mapping[str, str]], int]
    run = module.group().run if hasattr(module, "group") else module.run
    return run(given[at + 1 :], os.environ)


if __name__ == "__main__":
    main()

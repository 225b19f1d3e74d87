"""`feedback-loops`: the command line. A command's code is loaded when it is asked for, so help is there at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Final

from actors.version import VERSION
from api.cli.help import Parser

COMMANDS: Final = {
    "demo": "show the whole service at work on this machine, in 30 seconds",
    "serve": "run the service",
    "listen": "run a sample handler that shows the events it receives",
    "accounts": "open an account",
    "users": "let people sign in to the dashboard",
    "keys": "create, list and revoke API keys of an account",
    "loops": "create, verify, test, pause and inspect feedback loops",
    "messages": "register messages to track",
    "events": "show events as they arrive",
    "deliveries": "show deliveries and their attempts, and retry one",
    "replay": "deliver events again",
    "doctor": "find problems, and explain how to fix them",
    "backup": "copy a data directory while its service runs",
    "restore": "restore a backup into a new data directory",
    "migrate": "move the ledger from SQLite to PostgreSQL",
    "bench": "send clicks to a running service, and measure its speed",
}

DESCRIPTION: Final = (
    "Self-hosted, real-time e-mail event webhooks: opens, clicks and bounces, enriched and POSTed to your own script."
)


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
    made.add_argument("--version", action="version", version=f"feedback-loops {VERSION}", help="show the version")
    made.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of the commands below")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs a command and exits with its code: 0 success, 1 failure, 2 wrong usage.

    Commands that use a running service exit with 3 if there is none. Ctrl-C is 130.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if not given:
        parser().print_help()
        sys.exit(2)
    # Parse only up to the command: the rest belongs to the command.
    at = next((n for n, word in enumerate(given) if not word.startswith("-")), len(given))
    command = parser().parse_args(given[: at + 1]).command
    module = command_module(command)
    run = module.group().run if hasattr(module, "group") else module.run
    try:
        code = run(given[at + 1 :], os.environ)
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


if __name__ == "__main__":
    main()

"""Command with subcommands (`feedback-loops loops list`): options, errors and exit codes."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from api.cli.api_client import Refused, Service, Unreachable
from api.cli.console import Screen
from api.cli.help import Parser, whole_number

URL_VARIABLE: Final = "FEEDBACK_LOOPS_URL"
API_KEY_VARIABLE: Final = "FEEDBACK_LOOPS_API_KEY"
DEFAULT_URL: Final = "http://127.0.0.1:8080"

OK: Final = 0
FAILED: Final = 1
MISUSED: Final = 2
UNREACHABLE: Final = 3
INTERRUPTED: Final = 130

EXIT_CODES: Final = """\
exit codes:
  0  success
  1  refused by the service, or failed; see standard error
  2  wrong usage
  3  the service cannot be reached
  130  ended with Ctrl-C
"""

#: Runs a subcommand and returns its exit code.
Act = Callable[[Service, Screen, argparse.Namespace], int]


class Group:
    """The parser of all subcommands, and their execution."""

    def __init__(
        self,
        name: str,
        description: str,
        *,
        key_name: str = "the account's API key",
        key_variable: str = API_KEY_VARIABLE,
        key_file: Path | None = None,
    ) -> None:
        """`key_file`: where the key is read from if neither an option nor the variable gives it."""
        self._name = name
        self._key_file = key_file
        self._key_variable = key_variable
        self._key_name = key_name
        self.parser = Parser(
            prog=f"feedback-loops {name}",
            usage=f"feedback-loops {name} COMMAND …",
            description=description,
            epilog=f"`feedback-loops {name} COMMAND --help` explains each command.\n\n{EXIT_CODES}",
        )
        self._commands = self.parser.add_subparsers(
            prog=f"feedback-loops {name}", metavar="COMMAND", dest="command", title="commands", required=True
        )

    def command(
        self, name: str, act: Act, what: str, example: str = "", description: str = ""
    ) -> argparse.ArgumentParser:
        """Adds a subcommand; the caller adds its options and arguments.

        `what` is a few words for the list; `description` more, where there is more to say; `example` its arguments.
        """
        made: argparse.ArgumentParser = self._commands.add_parser(
            name,
            help=what,
            description=description or f"{what[0].upper()}{what[1:]}.",
            epilog=f"Example: feedback-loops {self._name} {name} {example}".rstrip(),
        )
        made.set_defaults(act=act)
        shared = made.add_argument_group("the service")
        shared.add_argument("--url", metavar="URL", help=f"its URL; default: ${URL_VARIABLE}, or {DEFAULT_URL}")
        shared.add_argument(
            "--key",
            metavar="KEY",
            help=f"{self._key_name}; default: ${self._key_variable}, which is safer: other users of the machine "
            "can see options",
        )
        shared.add_argument("--json", action="store_true", help="show the API's JSON instead of tables")
        return made

    @property
    def commands(self) -> Mapping[str, argparse.ArgumentParser]:
        """The group's commands by name, each with its parser."""
        return self._commands.choices

    def run(self, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
        """Runs the subcommand that the arguments name. Errors go to standard error."""
        if not arguments:
            self.parser.print_help()
            return MISUSED
        options = self.parser.parse_args(arguments)
        url = options.url or environment.get(URL_VARIABLE) or DEFAULT_URL
        key = options.key or environment.get(self._key_variable) or self._key_in_file()
        if not key or not key.isascii() or not key.isprintable():
            return self._tell(f"give {self._key_name}, by {self._key_variable} or --key", MISUSED)
        if not url.startswith(("http://", "https://")):
            return self._tell(f"the service's URL must start with http:// or https://, not be {url}", MISUSED)
        try:
            with Service(url, key) as service:
                act: Act = options.act
                return act(service, Screen(is_json=options.json), options)
        except Refused as exc:
            return self._tell_refusal(exc, options)
        except Unreachable as exc:
            return self._tell(str(exc), UNREACHABLE)
        except BrokenPipeError:
            # Whoever read the output has had enough. Nothing may be written when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return OK

    def _key_in_file(self) -> str:
        try:
            return self._key_file.read_text().strip() if self._key_file else ""
        except (OSError, ValueError):
            return ""

    def _tell(self, what: str, code: int) -> int:
        Screen(is_json=False).beside(f"feedback-loops {self._name}: {what}")
        return code

    def _tell_refusal(self, refusal: Refused, options: argparse.Namespace) -> int:
        screen = Screen(is_json=options.json)
        if refusal.problem:
            screen.json(refusal.problem)
        title = refusal.problem.get("title", "the answer was not understood")
        self._tell(f"{title} (status {refusal.status}): {refusal}", FAILED)
        for error in refusal.problem.get("errors", []):
            screen.beside(f"  {error.get('pointer') or 'the body'}: {error.get('detail')}")
        if kind := refusal.problem.get("type"):
            screen.beside(f"  see {refusal.url}{kind}")
        return FAILED


#: Reads how many items to show.
limit: Final = whole_number(1, 1_000_000)
TIME_HELP: Final = "as 2026-03-01T09:30:00Z, or how long ago: 90s, 30m, 12h, 7d"
_AGO: Final = re.compile(r"(\d{1,9})([smhd])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def _now() -> datetime:
    return datetime.now(UTC)


def moment(text: str, now: Callable[[], datetime] = _now) -> str:
    """The time as the API accepts it, RFC 3339 in UTC.

    Raises:
        argparse.ArgumentTypeError: it is not a time, or one without an offset from UTC.
    """
    try:
        if ago := _AGO.fullmatch(text):
            found = now() - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            found = datetime.fromisoformat(text)
        if found.tzinfo is not None:
            return f"{found.astimezone(UTC).isoformat(timespec='milliseconds').removesuffix('+00:00')}Z"
    except (ValueError, OverflowError):
        pass
    raise argparse.ArgumentTypeError(f"must be a time {TIME_HELP}")

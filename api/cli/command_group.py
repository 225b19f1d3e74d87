"""Command with subcommands (`feedback-loops loops list`): options, errors and exit codes."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from api.cli.api_client import Misused, NotUnderstood, Refused, Service, Unreachable
from api.cli.console import Screen
from api.cli.help import Parser, whole_number
from api.cli.terminal import FAILED, MISUSED
from domain.errors import InvalidInput

URL_VARIABLE: Final = "FEEDBACK_LOOPS_URL"
API_KEY_VARIABLE: Final = "FEEDBACK_LOOPS_API_KEY"
DEFAULT_URL: Final = "http://127.0.0.1:8080"

UNREACHABLE: Final = 3

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
#: The exit code of a failure.
CodeOf = Callable[[Exception], int]
FAILURES: Final = (Misused, NotUnderstood, Refused, Unreachable)


def exit_code(failure: Exception) -> int:
    """The exit code of a failure, as `EXIT_CODES` describes it."""
    return {Misused: MISUSED, Unreachable: UNREACHABLE}.get(type(failure), FAILED)


class Credentials(NamedTuple):
    """Which key a command sends, and where it comes from."""

    name: str
    variable: str
    #: The file in the data directory with the key, if neither an option nor the variable gives it.
    file: str | None = None


ACCOUNT: Final = Credentials("the account's API key", API_KEY_VARIABLE)
#: Where `serve` writes the key that it makes at its first start, in its data directory.
ADMIN_KEY_FILE: Final = "admin.key"
ADMIN: Final = Credentials(
    f"the admin key (read from {ADMIN_KEY_FILE} in the data directory if neither is given)",
    "FEEDBACK_LOOPS_ADMIN_KEY",
    ADMIN_KEY_FILE,
)


class Group:
    """The parser of all subcommands, and their execution."""

    def __init__(self, name: str, description: str, credentials: Credentials = ACCOUNT) -> None:
        self._name = name
        self._credentials = credentials
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
        self,
        name: str,
        act: Act,
        what: str,
        example: str = "",
        description: str = "",
        *,
        makes: str | None = None,
        code_of: CodeOf = exit_code,
        credentials: Credentials | None = None,
    ) -> argparse.ArgumentParser:
        """Adds a subcommand; the caller adds its options and arguments.

        `what` is a few words for the list; `description` more, where there is more to say; `example` its arguments.
        `makes`: what scripts need of its JSON in addition to `id`, if the command creates or lists something.
        `credentials`: those of this command, if they are not the group's.
        """
        made: argparse.ArgumentParser = self._commands.add_parser(
            name,
            help=what,
            description=description or f"{what[0].upper()}{what[1:]}.",
            epilog=f"Example: feedback-loops {self._name} {name} {example}".rstrip(),
        )
        made.set_defaults(act=act, code_of=code_of)
        add_service_options(made, credentials or self._credentials)
        if makes is not None:
            made.add_argument("--quiet", dest="only", action="store_const", const="id", help="print only the id")
            made.add_argument(
                "--print", dest="only", metavar="NAME", help=f"print only this part of the JSON, such as {makes}"
            )
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
        return run_with_service(self._name, self.parser.parse_args(arguments), environment)


def add_service_options(parser: argparse.ArgumentParser, key: Credentials) -> None:
    """Adds the options of every command that uses a running service."""
    shared = parser.add_argument_group("the service")
    shared.add_argument("--url", metavar="URL", help=f"its URL; default: ${URL_VARIABLE}, or {DEFAULT_URL}")
    shared.add_argument(
        "--key",
        metavar="KEY",
        help=f"{key.name}; default: ${key.variable}, which is safer: other users of the machine can see options",
    )
    shared.add_argument("--json", action="store_true", help="show the API's JSON instead of tables")
    parser.set_defaults(only=None, credentials=key)


def run_with_service(name: str, options: argparse.Namespace, environment: Mapping[str, str]) -> int:
    """Runs `options.act` with the service that the options and the environment name. Errors go to standard error."""
    credentials: Credentials = options.credentials
    key, written_url = options.key or environment.get(credentials.variable), None
    if not key and credentials.file is not None:
        key, written_url = _in_data_dir(credentials.file, environment)
    url = options.url or environment.get(URL_VARIABLE) or written_url or DEFAULT_URL
    try:
        if not key:
            raise Misused(f"give {credentials.name}, by {credentials.variable} or --key")
        with Service(url, key) as service:
            act: Act = options.act
            return act(service, Screen(is_json=options.json, only=options.only), options)
    except FAILURES as exc:
        if isinstance(exc, Refused):
            _tell_refusal(name, exc, options)
        else:
            _tell(name, str(exc))
        code_of: CodeOf = options.code_of
        return code_of(exc)


def _tell(name: str, what: str) -> None:
    Screen(is_json=False).beside(f"feedback-loops {name}: {what}")


def _tell_refusal(name: str, refusal: Refused, options: argparse.Namespace) -> None:
    """Shows the problem once: as JSON on standard output, or in words on standard error."""
    screen = Screen(is_json=options.json)
    if refusal.problem and options.json:
        screen.json(refusal.problem)
        return
    title = refusal.problem.get("title", "the answer was not understood")
    # `detail` repeats the first of the errors.
    detail = "" if refusal.errors else f": {refusal}"
    _tell(name, f"{title} (status {refusal.status}){detail}")
    for pointer, problem in refusal.errors:
        screen.beside(f"  {pointer or 'the body'}: {problem}")
    if kind := refusal.problem.get("type"):
        screen.beside(f"  see {refusal.url}{kind}")


def _in_data_dir(file: str, environment: Mapping[str, str]) -> tuple[str, str | None]:
    """The key in a file of the data directory, and the URL of the service that runs there, if one does."""
    from actors.settings.default_data_dir import choose_data_dir  # noqa: PLC0415 - it imports much
    from api.cli.running_service import written_url  # noqa: PLC0415

    try:
        data_dir = choose_data_dir(environment).path
        return (data_dir / file).read_text().strip(), written_url(data_dir)
    except (OSError, ValueError, InvalidInput):
        return "", None


#: Reads how many items to show.
limit: Final = whole_number(1, 1_000_000)
TIME_HELP: Final = "as 2026-03-01T09:30:00Z, or how long ago: 90s, 30m, 12h, 7d"
_AGO: Final = re.compile(r"([0-9]{1,9})([smhd])")
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

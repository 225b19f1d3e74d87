"""`feedback-loops serve`: its options are the table of settings."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from actors.process_setup import logging_setup
from actors.processes import serve_supervisor
from actors.settings.options import OPTIONS
from actors.settings.settings import Settings
from api.cli.help import Parser
from domain.errors import FeedbackLoopsError, InvalidInput

DESCRIPTION: Final = """\
Runs the service. It answers hits at once; GET /readyz answers 200 when events can reach handlers.
SIGTERM or Ctrl-C stops it within 10 seconds, a second one immediately. No answered hit is lost either way.
"""

EPILOG: Final = """\
Every option is also an environment variable (in brackets); the option wins. Secrets only have variables, because
every user of the machine can see the options of a process.
"""


def parser() -> Parser:
    """One option per row of the table."""
    made = Parser(
        prog="feedback-loops serve",
        description=DESCRIPTION,
        epilog=EPILOG + "\n" + _secrets(),
        usage="feedback-loops serve [OPTION …]",
    )
    for option in OPTIONS:
        if option.flag is not None:
            default = f"Default: {option.default_text.replace('`', '') or 'none'}."
            made.add_argument(
                option.flag,
                metavar=option.metavar,
                dest=option.name,
                # argparse formats its help with %.
                help=f"{option.help} {default} [{option.variable}]".replace("%", "%%"),
            )
    return made


def _secrets() -> str:
    lines = [f"  {o.variable}\n      {o.help} Default: {o.default_text}." for o in OPTIONS if o.is_secret]
    return "variables without an option:\n" + "\n".join(lines).replace("`", "")


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Serves until it is stopped."""
    flags = vars(parser().parse_args(arguments))
    try:
        settings = Settings.from_env(environment, **flags)
    except InvalidInput as exc:
        for option, problem in exc.problems:
            sys.stderr.write(f"feedback-loops serve: {option} {problem}\n")
        return 2
    logging_setup.configure_logging(settings.log_level, "serve", settings.log_format)
    try:
        serve_supervisor.serve(settings, environment)
    except FeedbackLoopsError as exc:
        sys.stderr.write(f"feedback-loops serve: {exc}\n")
        return 1
    return 0

"""`feedback-loops serve`: its options are the table of settings."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from actors.process_setup import logging_setup
from actors.process_setup.exit_codes import DATA_DIR_LOST, DATA_NOT_OPEN
from actors.processes import serve_supervisor
from actors.processes.journal_check import is_lasting
from actors.processes.listening_socket import address_options, inherited_listener
from actors.processes.refusal import refuse_requests
from actors.settings import Settings
from actors.settings.default_data_dir import choose_data_dir
from actors.settings.options import OPTIONS
from api.cli.help import Parser
from api.cli.installation import check_installation
from domain.errors import DataDirLost, FeedbackLoopsError, InvalidInput, StoreUnavailable

log = logging.getLogger(__name__)

DESCRIPTION: Final = """\
Runs the service. It answers hits at once; GET /readyz answers 200 when events can reach handlers.
SIGTERM or Ctrl-C stops it within 10 seconds, a second one immediately. No answered hit is lost either way while
the disk works, or its reserve lasts. The exit code is 0 after an orderly stop. SIGHUP is ignored.

With socket activation (LISTEN_FDS=1, as a systemd socket unit sets it), it listens on the inherited TCP socket, and
--host and --port are refused. A restart then refuses no connection.
"""

EPILOG: Final = """\
Every option is also an environment variable (in brackets); the option wins. Secrets only have variables, because
every user of the machine can see the options of a process.
"""


EXIT_CODES: Final = """\
exit codes:
  0  stopped by a signal
  1  refused to start, or failed; see standard error
  2  wrong usage
  4  stopped by a signal, without its data directory: it was deleted or replaced while the service ran
  5  stopped by a signal, and answered hits were lost: `hit_lost` in the log has their number
  78  the data directory or its journal cannot be opened, because of its permissions or its owner; no restart changes
      that
"""
#: Seconds for which requests on an inherited socket are refused, so that no client waits for the end of its patience.
REFUSING_S: Final = 5.0
PUBLIC_REASON: Final = "the data of the service, like its journal, cannot be opened; its log has the reason"


def parser() -> Parser:
    """One option per row of the table."""
    made = Parser(
        prog="feedback-loops serve",
        description=DESCRIPTION,
        epilog=EPILOG + "\n" + _secrets() + "\n\n" + EXIT_CODES,
        usage="feedback-loops serve [OPTION …]",
    )
    for option in OPTIONS:
        if option.flag is not None:
            if option.is_switch:
                help_ = f"{option.help} [{option.variable}=yes]"
                made.add_argument(option.flag, dest=option.name, action="store_const", const="yes", help=help_)
                continue
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
        inherited = inherited_listener(environment, flags)
        address = {} if inherited is None else address_options(inherited)
        settings = Settings.from_env(environment, **(flags | address))
    except InvalidInput as exc:
        for option, problem in exc.problems:
            sys.stderr.write(f"feedback-loops serve: {option} {problem}\n")
        return 2
    logging_setup.configure_logging(settings.log_level, "serve", settings.log_format)
    if warning := choose_data_dir(environment, flags["data_dir"]).warning:
        log.warning("the default data directory is not the usual one", extra={"action": "data_dir", "problem": warning})
    try:
        check_installation()
        return serve_supervisor.serve(settings, environment, inherited)
    except DataDirLost as exc:
        sys.stderr.write(f"feedback-loops serve: {exc}; see `journal_lost` in the log for what ended with it\n")
        return DATA_DIR_LOST
    except FeedbackLoopsError as exc:
        sys.stderr.write(f"feedback-loops serve: {exc}\n")
        if isinstance(exc, StoreUnavailable) and is_lasting(exc):
            if inherited is not None:
                refuse_requests(inherited, PUBLIC_REASON, REFUSING_S)
            return DATA_NOT_OPEN
    except OSError as exc:
        sys.stderr.write(f"feedback-loops serve: {exc.filename or settings.data_dir}: {exc.strerror or exc}\n")
    return 1

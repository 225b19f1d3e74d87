"""`feedback-loops rekey`: gives a stopped service new keys, because its master key is lost."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from actors.processes.installation import replace_lost_keys
from actors.settings import Settings
from actors.settings.data_dir import DataDir
from actors.settings.options import ENV_PREFIX
from api.cli.help import Parser
from domain.errors import FeedbackLoopsError, InvalidInput

DESCRIPTION: Final = """\
Gives an installation a new key, because its master key is lost and no service runs that could still wrap its keys.

Every link that was sent ends, every loop gets a new secret, and every password must be reset. Events, messages, loops
and accounts stay. If a service still runs, use `feedback-loops keys rotate-master` instead: nothing is lost then.
"""


def parser() -> Parser:
    made = Parser(prog="feedback-loops rekey", description=DESCRIPTION)
    made.add_argument("--data-dir", dest="data_dir", metavar="DIR", help=f"Its data directory. [{ENV_PREFIX}DATA_DIR]")
    made.add_argument("--store", metavar="URL", help=f"Its store, if that is PostgreSQL. [{ENV_PREFIX}STORE]")
    made.add_argument("--yes", action="store_true", help="Needed, because this cannot be undone.")
    return made


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Replaces the keys, and says what to do next."""
    given = parser().parse_args(arguments)
    if not given.yes:
        sys.stderr.write("feedback-loops rekey: every link that was sent ends; confirm with --yes\n")
        return 2
    try:
        settings = Settings.from_env(environment, data_dir=given.data_dir, store=given.store)
        with DataDir.open(settings.data_dir):
            ring = replace_lost_keys(settings)
    except InvalidInput as exc:
        for option, problem in exc.problems:
            sys.stderr.write(f"feedback-loops rekey: {option} {problem}\n")
        return 2
    except FeedbackLoopsError as exc:
        sys.stderr.write(f"feedback-loops rekey: {exc}\n")
        return 1
    print(f"Installation {ring.fingerprint} signs with key {ring.signing} only. Start the service again.")  # noqa: T201
    return 0

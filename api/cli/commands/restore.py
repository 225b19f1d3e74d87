"""`feedback-loops restore`: puts a back-up into a new data directory."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from actors.processes.backup import restore
from actors.settings.options import ENV_PREFIX
from api.cli.commands.backup import DATA_DIR, ELSEWHERE, listing
from api.cli.help import Parser
from domain.errors import FeedbackLoopsError

DESCRIPTION: Final = """\
Puts what `feedback-loops backup` has copied into a data directory that is new or empty, having checked every byte.

A service that is started there goes on from the moment of the back-up. What it delivered after that moment it delivers
again, with the same event ids. What it took in after that moment is not there.
"""


def parser() -> Parser:
    """The options."""
    made = Parser(prog="feedback-loops restore", description=DESCRIPTION)
    made.add_argument("source", metavar="SOURCE", type=Path, help="a directory made by `feedback-loops backup`")
    made.add_argument("--data-dir", metavar="DIR", type=Path, help=f"{DATA_DIR} [{ENV_PREFIX}DATA_DIR]")
    return made


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Restores, and says what to do next."""
    given = parser().parse_args(arguments)
    data_dir = given.data_dir or Path(environment.get(f"{ENV_PREFIX}DATA_DIR") or "./var")
    try:
        made = restore(given.source.expanduser(), data_dir.expanduser())
    except FeedbackLoopsError as exc:
        sys.stderr.write(f"feedback-loops restore: {exc}\n")
        return 1
    store = "" if made.has_ledger else "FEEDBACK_LOOPS_STORE=… "
    print(f"Restored to {data_dir}:\n{listing(made)}\nGo on with: {store}feedback-loops serve --data-dir {data_dir}")  # noqa: T201
    if not made.has_ledger:
        print(ELSEWHERE.replace("back that up now, after this:", "restore that too, to a moment after this back-up:"))  # noqa: T201
    return 0

"""`feedback-loops restore`: puts a backup into a new data directory."""

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
Restores a copy made by `feedback-loops backup` into a new or empty data directory, and checks every byte.

A service that starts there continues from the moment of the backup. It repeats deliveries that were made
after that moment, with the same event ids. Hits that arrived after it are not included.
"""


def parser() -> Parser:
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
    print(f"Restored to {data_dir}:\n{listing(made)}\nContinue with: {store}feedback-loops serve --data-dir {data_dir}")  # noqa: T201
    if not made.has_ledger:
        print(ELSEWHERE.replace("back that up now, after this:", "restore that too, to a moment after this backup:"))  # noqa: T201
    return 0

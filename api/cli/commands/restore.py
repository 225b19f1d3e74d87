"""`feedback-loops restore`: puts a backup into a new data directory."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from actors.processes.restore import restore
from actors.settings.default_data_dir import choose_data_dir
from actors.settings.options import ENV_PREFIX
from api.cli.commands.backup import DATA_DIR, ELSEWHERE, listing
from api.cli.help import Parser, expanded_path
from domain.errors import FeedbackLoopsError

DESCRIPTION: Final = """\
Restores a copy made by `feedback-loops backup` into a new or empty data directory, and checks every byte.

A service that starts there continues from the moment of the backup. It repeats deliveries that were made
after that moment, with the same event ids. Hits that arrived after it are not included.

People who were erased after that moment are in the backup. With --erasures-file, the service erases them again before
it delivers anything. The file is erasures.ndjson in the lost data directory, or what --erasures-file named there.
"""


def parser() -> Parser:
    made = Parser(prog="feedback-loops restore", description=DESCRIPTION)
    made.add_argument("source", metavar="SOURCE", type=expanded_path, help="a copy made by `feedback-loops backup`")
    made.add_argument("--data-dir", metavar="DIR", type=expanded_path, help=f"{DATA_DIR} [{ENV_PREFIX}DATA_DIR]")
    erasures = made.add_mutually_exclusive_group()
    erasures.add_argument(
        "--erasures-file",
        metavar="FILE",
        type=expanded_path,
        help=f"the erasures since the backup [{ENV_PREFIX}ERASURES_FILE]",
    )
    erasures.add_argument("--no-erasures", action="store_true", help="no person was erased since the backup")
    return made


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Restores, and says what to do next."""
    made_parser = parser()
    given = made_parser.parse_args(arguments)
    erasures = given.erasures_file or _path_in(environment)
    if erasures is None and not given.no_erasures:
        made_parser.error(
            "name the erasures of people since the backup with --erasures-file FILE, or confirm with --no-erasures "
            "that there were none"
        )
    try:
        data_dir = choose_data_dir(environment, given.data_dir).path
        made = restore(given.source.expanduser(), data_dir, None if given.no_erasures else erasures)
    except FeedbackLoopsError as exc:
        sys.stderr.write(f"feedback-loops restore: {exc}\n")
        return 1
    store = "" if made.has_ledger else "FEEDBACK_LOOPS_STORE=… "
    print(f"Restored to {data_dir}:\n{listing(made)}\nContinue with: {store}feedback-loops serve --data-dir {data_dir}")  # noqa: T201
    if not made.has_ledger:
        print(ELSEWHERE.replace("back that up now, after this:", "restore that too, to a moment after this backup:"))  # noqa: T201
    return 0


def _path_in(environment: Mapping[str, str]) -> Path | None:
    text = environment.get(f"{ENV_PREFIX}ERASURES_FILE")
    return expanded_path(text) if text else None

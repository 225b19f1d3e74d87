"""`feedback-loops backup`: copies a data directory while its service runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from actors.processes.backup import BackedUp, back_up
from actors.settings.options import ENV_PREFIX
from api.cli.help import Parser
from domain.errors import FeedbackLoopsError

DESCRIPTION: Final = """\
Copies everything that must outlive the data directory: the keys, the journal of answered hits, and the ledger.
The service may keep running. The copy contains every hit that was answered before the command started.

The copy contains the keys: anyone who can read it can forge links and open accounts.
"""
DATA_DIR: Final = "The service's data directory. Default: ./var."
#: What a ledger that is elsewhere needs.
ELSEWHERE: Final = (
    "The ledger is not in the data directory. If it is on PostgreSQL, back that up now, after this: with pg_dump, or "
    "with its archive of the write-ahead log."
)


def parser() -> Parser:
    made = Parser(prog="feedback-loops backup", description=DESCRIPTION)
    made.add_argument("target", metavar="TARGET", type=Path, help="a new or empty directory")
    made.add_argument("--data-dir", metavar="DIR", type=Path, help=f"{DATA_DIR} [{ENV_PREFIX}DATA_DIR]")
    return made


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Backs up, and says what and how much."""
    given = parser().parse_args(arguments)
    data_dir = given.data_dir or Path(environment.get(f"{ENV_PREFIX}DATA_DIR") or "./var")
    try:
        made = back_up(
            data_dir.expanduser(), given.target.expanduser(), datetime.now(UTC).isoformat(timespec="seconds")
        )
    except FeedbackLoopsError as exc:
        sys.stderr.write(f"feedback-loops backup: {exc}\n")
        return 1
    print(f"Backed up to {given.target}:\n{listing(made)}")  # noqa: T201 - it is what was asked for
    if not made.has_ledger:
        print(ELSEWHERE)  # noqa: T201
    return 0


def listing(made: BackedUp) -> str:
    """The files and their sizes, a line each."""
    return "\n".join(f"  {name:<18}{size:>16,} bytes" for name, size in made.sizes.items())

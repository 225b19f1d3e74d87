"""`feedback-loops backup`: copies a data directory while its service runs."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from actors.processes.backup import SPOOL, BackedUp, back_up
from actors.processes.backup_retention import remove_older
from actors.settings.default_data_dir import DESCRIPTION as DEFAULT
from actors.settings.default_data_dir import choose_data_dir
from actors.settings.options import ENV_PREFIX
from api.cli.help import Parser, expanded_path, whole_number
from domain.errors import FeedbackLoopsError

DESCRIPTION: Final = """\
Copies everything that must outlive the data directory: the keys, the journal of answered hits and reports with
its spool of mails, and the ledger. The service may keep running. The copy contains everything that was answered before
the command started.

The copy contains the keys: anyone who can read it can forge links and open accounts.
"""
DATA_DIR: Final = f"The service's data directory. Default: {DEFAULT}."
#: What a ledger that is elsewhere needs.
ELSEWHERE: Final = (
    "The ledger is not in the data directory. If it is on PostgreSQL, back that up now, after this: with pg_dump, or "
    "with its archive of the write-ahead log."
)

LEFT_OUT: Final = "The ledger is not in this copy: copy it now, for example with `VACUUM INTO`."


def parser() -> Parser:
    made = Parser(prog="feedback-loops backup", description=DESCRIPTION)
    made.add_argument("target", metavar="TARGET", type=expanded_path, help="a new or empty directory")
    made.add_argument("--data-dir", metavar="DIR", type=expanded_path, help=f"{DATA_DIR} [{ENV_PREFIX}DATA_DIR]")
    made.add_argument(
        "--keep",
        metavar="N",
        type=whole_number(1, 10_000),
        help="afterwards remove older backups of this installation in the directory of TARGET, all but the latest N",
    )
    made.add_argument(
        "--without-ledger",
        action="store_true",
        help="leave out a ledger on SQLite that is too large to copy as a whole; copy it yourself, after this",
    )
    return made


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Backs up, and says what and how much."""
    given = parser().parse_args(arguments)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        data_dir = choose_data_dir(environment, given.data_dir).path
        made = back_up(data_dir, given.target, now, with_ledger=not given.without_ledger)
        removed = remove_older(given.target, given.keep) if given.keep else []
    except FeedbackLoopsError as exc:
        sys.stderr.write(f"feedback-loops backup: {exc}\n")
        return 1
    print(f"Backed up to {given.target}:\n{listing(made)}")  # noqa: T201 - it is what was asked for
    if given.without_ledger:
        print(LEFT_OUT)  # noqa: T201
    elif not made.has_ledger:
        print(ELSEWHERE)  # noqa: T201
    for path in removed:
        print(f"Removed the older backup {path}")  # noqa: T201
    return 0


def listing(made: BackedUp) -> str:
    """The files and their sizes, a line each; the spool is one line."""
    sizes: Counter[str] = Counter()
    for name, size in made.sizes.items():
        sizes[SPOOL if name.startswith(f"{SPOOL}/") else name] += size
    return "\n".join(f"  {name:<18}{size:>16,} bytes" for name, size in sizes.items())

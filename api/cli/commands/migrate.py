"""The command `feedback-loops migrate`, which moves a ledger from SQLite to PostgreSQL."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from actors.settings.data_dir import DataDir
from actors.settings.data_dir_marker import require_marker
from actors.settings.default_data_dir import choose_data_dir
from actors.settings.options import ENV_PREFIX
from api.cli.commands.backup import DATA_DIR
from api.cli.help import Parser, expanded_path
from domain.errors import FeedbackLoopsError

DESCRIPTION: Final = """\
Moves the ledger of a data directory from SQLite to an empty PostgreSQL database. Stop the service first.

The command copies every table, then compares every row. If it is interrupted, run it again: it continues where it
stopped. Then start the service with the same data directory and --store. All ids, backlogs, replays and secrets stay
the same. The keys and the journal stay in the data directory.
"""
EPILOG: Final = """\
Every user of this machine can see a password in --store while the command runs. Put the URL into the variable instead,
or the password into the file that PGPASSFILE names.
"""
DONE: Final = """\
The ledger is on PostgreSQL now. Start the service with:
  FEEDBACK_LOOPS_STORE=… feedback-loops serve --data-dir {data_dir}
{data_dir}/ledger.moved.sqlite is the old ledger. Remove it when you no longer need it.
"""


def parser() -> Parser:
    made = Parser(prog="feedback-loops migrate", description=DESCRIPTION, epilog=EPILOG)
    made.add_argument(
        "--data-dir",
        metavar="DIR",
        type=expanded_path,
        help=f"{DATA_DIR} [{ENV_PREFIX}DATA_DIR]",
    )
    made.add_argument(
        "--store", metavar="URL", help=f"An empty database: postgresql://user@host/database. [{ENV_PREFIX}STORE]"
    )
    return made


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Imports the ledger, and prints its progress, the compared tables and the next step."""
    from actors.ledger.postgres.import_sqlite import import_ledger  # noqa: PLC0415 - only this command needs it

    given = parser().parse_args(arguments)
    url = given.store or environment.get(f"{ENV_PREFIX}STORE")
    if not url:
        sys.stderr.write(
            f"feedback-loops migrate: --store ({ENV_PREFIX}STORE) is missing: the URL of the PostgreSQL database\n"
        )
        return 2
    try:
        data_dir = choose_data_dir(environment, given.data_dir).path
        require_marker(data_dir)
        with DataDir.open(data_dir):
            compared = import_ledger(data_dir, url, _report)
    except FeedbackLoopsError as exc:
        sys.stderr.write(f"feedback-loops migrate: {exc}\n")
        return 1
    for table in compared:
        print(f"same  {table.name:<14}{table.rows:>14,} rows  sha256 {table.checksum[:16]}")  # noqa: T201
    print(DONE.format(data_dir=data_dir), end="")  # noqa: T201
    return 0


def _report(table: str, rows: int, total: int) -> None:
    print(f"copy  {table:<14}{rows:>14,} of {total:,}", flush=True)  # noqa: T201

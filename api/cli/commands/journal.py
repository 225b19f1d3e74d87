"""`feedback-loops journal import`: has the entries of a journal that was moved aside recorded."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from actors.settings.data_dir import gateway_socket_path
from actors.settings.default_data_dir import choose_data_dir
from actors.settings.options import ENV_PREFIX
from api.cli.command_group import UNREACHABLE
from api.cli.commands.backup import DATA_DIR
from api.cli.help import Parser
from api.journal.importing import Imported, import_journal_at
from domain.errors import FeedbackLoopsError, Starting, Unavailable

DESCRIPTION: Final = """\
Records the hits, reports and mails of a journal that a damaged disk or a crash made unreadable for the service, which
then renamed it to journal.corrupt-TIME, and its spool to spool.corrupt-TIME. The service must be running. What it has
recorded already stays as it is, so the command may be repeated.
"""


def parser() -> Parser:
    made = Parser(prog="feedback-loops journal", description=DESCRIPTION)
    commands = made.add_subparsers(metavar="COMMAND", dest="command", required=True)
    add = commands.add_parser("import", help="record what can be read of a journal", description=DESCRIPTION)
    add.add_argument("journal", metavar="DIR", type=Path, help="the journal, such as var/journal.corrupt-TIME")
    add.add_argument("--data-dir", metavar="DIR", type=Path, help=f"{DATA_DIR} [{ENV_PREFIX}DATA_DIR]")
    return made


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Imports, and says how much."""
    given = parser().parse_args(arguments)
    try:
        imported = asyncio.run(_import(given, choose_data_dir(environment, given.data_dir).path))
    except FeedbackLoopsError as exc:
        sys.stderr.write(f"feedback-loops journal: {exc}\n")
        return UNREACHABLE if isinstance(exc, Unavailable | Starting) else 1
    print(_result(imported))  # noqa: T201 - it is what was asked for
    return 0


async def _import(given: argparse.Namespace, data_dir: Path) -> Imported:
    return await import_journal_at(given.journal.expanduser(), gateway_socket_path(data_dir))


def _result(imported: Imported) -> str:
    lines = [f"Recorded {imported.recorded} entries; those that were in the ledger already are among them."]
    if imported.unreadable:
        lines.append(f"{imported.unreadable} entries cannot be read by this version.")
    return "\n".join(lines)

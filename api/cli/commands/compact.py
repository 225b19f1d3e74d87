"""`feedback-loops compact`: rewrites the ledger, so that its files hold nothing that was erased or deleted."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from typing import Final

from actors.ledger.compaction import Compaction, CompactPart
from actors.ledger.factory import check_store_setting, make_compaction
from actors.settings import Settings
from actors.settings.data_dir_marker import require_marker
from actors.settings.options import ENV_PREFIX
from api.cli.commands.backup import DATA_DIR
from api.cli.confirmation import refusal
from api.cli.console import Screen
from api.cli.help import Parser
from api.cli.terminal import FAILED, OK
from domain.errors import FeedbackLoopsError

DESCRIPTION: Final = """\
Rewrites the ledger, so that its files hold nothing that was erased or deleted: on SQLite the file, on PostgreSQL one
table after the other. The service may keep running; it waits meanwhile, and loses nothing. The command says how long
that takes, and asks first.

An erasure does not need it: it overwrites what it erases, so that no query finds it. PostgreSQL leaves the former bytes
in its files until they are overwritten; this command removes them.
"""
EPILOG: Final = """\
Every user of this machine can see a password in --store while the command runs. Put the URL into the variable instead,
or the password into the file that PGPASSFILE names.
"""
#: Bytes per second on a slow disk, to estimate how long a part is locked.
SLOW_BYTES_PER_S: Final = 20 * 1024 * 1024
_MIB: Final = 1024 * 1024


def parser() -> Parser:
    made = Parser(prog="feedback-loops compact", description=DESCRIPTION, epilog=EPILOG)
    made.add_argument("--data-dir", metavar="DIR", help=f"{DATA_DIR} [{ENV_PREFIX}DATA_DIR]")
    made.add_argument("--store", metavar="URL", help=f"Its store, if that is PostgreSQL. [{ENV_PREFIX}STORE]")
    made.add_argument("--yes", action="store_true", help="Do not ask.")
    return made


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Shows what will wait and for how long, asks, and rewrites."""
    given = parser().parse_args(arguments)
    screen = Screen(is_json=False)
    try:
        settings = Settings.from_env(environment, data_dir=given.data_dir, store=given.store)
        require_marker(settings.data_dir)
        check_store_setting(settings)
        return compact(make_compaction(settings), screen, yes=given.yes)
    except FeedbackLoopsError as exc:
        sys.stderr.write(f"feedback-loops compact: {exc}\n")
        return FAILED


def compact(compaction: Compaction, screen: Screen, *, yes: bool) -> int:
    """Rewrites a store after a confirmation, and returns the exit code.

    Raises:
        StoreUnavailable: a part could not be rewritten; those before it are, those after it are unchanged.
    """
    parts = compaction.parts()
    screen.table(("part", "size", "locked for up to"), [_row(part) for part in parts], "The ledger is empty.")
    if missing := compaction.missing_bytes():
        screen.beside(f"feedback-loops compact: {_size(missing)} more of free space are needed on the ledger's disk")
        return FAILED
    question = f"While a part is locked, {compaction.locks}. Rewrite the ledger?"
    if (code := refusal(screen, "feedback-loops compact", question, yes=yes)) is not None:
        return code
    for part in parts:
        began_s = time.monotonic()
        size = compaction.rewrite(part)
        took_s = time.monotonic() - began_s
        screen.say(f"{part.name}: {_size(part.size)} before, {_size(size)} now; locked for {took_s:.1f} s")
    if (advice := compaction.finish()) is not None:
        screen.say(advice)
    return OK


def _row(part: CompactPart) -> tuple[str, str, str]:
    return part.name, _size(part.size), f"{1 + part.size // SLOW_BYTES_PER_S} s"


def _size(number: int) -> str:
    return f"{number / _MIB:,.1f} MiB"

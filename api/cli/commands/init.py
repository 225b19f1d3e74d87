"""`feedback-loops init`: makes a new installation, for services that start with `--no-init`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Final

from actors.ledger.factory import check_store_setting, note_store_elsewhere
from actors.processes.installation import make_installation
from actors.settings import Settings
from actors.settings.data_dir import DataDir
from actors.settings.options import ENV_PREFIX
from api.cli.commands.backup import DATA_DIR
from api.cli.help import Parser
from domain.errors import Conflict, FeedbackLoopsError

DESCRIPTION: Final = """\
Makes a new installation in a new or empty data directory: its marker and its keys. `serve --no-init` then starts on it,
and never on another empty directory. The same variables apply as for `serve`.
"""
DONE: Final = """\
{data_dir} is the data directory of a new installation now.
Start the service with: feedback-loops serve --no-init --data-dir {data_dir}
Then back it up: without its keys, no link that the installation sends can be read.
"""


def parser() -> Parser:
    made = Parser(prog="feedback-loops init", description=DESCRIPTION)
    made.add_argument("--data-dir", metavar="DIR", help=f"{DATA_DIR} [{ENV_PREFIX}DATA_DIR]")
    return made


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Makes the installation, and says what to do next."""
    given = parser().parse_args(arguments)
    try:
        settings = Settings.from_env(environment, data_dir=given.data_dir)
        _init(settings)
    except FeedbackLoopsError as exc:
        sys.stderr.write(f"feedback-loops init: {exc}\n")
        return 1
    print(DONE.format(data_dir=settings.data_dir), end="")  # noqa: T201 - it is what was asked for
    return 0


def _init(settings: Settings) -> None:
    check_store_setting(settings)
    with DataDir.open(settings.data_dir) as data_dir:
        if data_dir.is_installed:
            raise Conflict(f"{settings.data_dir} is a data directory already: start the service")
        data_dir.init()
        note_store_elsewhere(settings)
        data_dir.admin_key(settings.admin_key)
        data_dir.record_installation(make_installation(settings).fingerprint)

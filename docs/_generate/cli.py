"""Generator of the reference page of the command line.

python -m docs._generate.cli > docs/reference/cli.md
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from typing import Final

from api.cli.command_group import Group
from api.cli.help import MAX_WIDTH
from api.cli.main import COMMANDS, command_module, parser

_BEGINNING: Final = """\
# Command line

`demo`, `serve` and `listen` start processes on this machine. `backup`, `restore`, `migrate` and `doctor` work on a data
directory. The other commands use the [HTTP API](api.md) of a running service: set `FEEDBACK_LOOPS_URL` to its URL and
`FEEDBACK_LOOPS_API_KEY` to the account's key. With `--json` they print the API's JSON, for scripts.

This page is generated from the parsers in `api/cli` and shows what `--help` shows.
"""
_SERVE: Final = "Its options are the [settings](settings.md).\n"


def page() -> str:
    """The page, in Markdown. `COLUMNS` sets the width of the help; the page uses `MAX_WIDTH`."""
    return "\n".join([_BEGINNING, *_commands()])


def _commands() -> Iterator[str]:
    yield _block(parser())
    for name, what in COMMANDS.items():
        yield f"## {name}\n"
        if name == "serve":
            yield f"{what.capitalize()}. {_SERVE}"
            continue
        module = command_module(name)
        if not hasattr(module, "group"):
            yield _block(module.parser())
            continue
        group: Group = module.group()
        yield _block(group.parser)
        for command, its_parser in group.commands.items():
            yield f"### {name} {command}\n"
            yield _block(its_parser)


def _block(of: argparse.ArgumentParser) -> str:
    return f"```text\n{of.format_help().rstrip()}\n```\n"


if __name__ == "__main__":
    os.environ["COLUMNS"] = str(MAX_WIDTH)
    sys.stdout.write(page())

"""`feedback-loops export`: everything that an account keeps about a person."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from api.cli.address import add_address, address_of
from api.cli.api_client import TIMEOUT_S, NotUnderstood, Service, path
from api.cli.command_group import ACCOUNT, EXIT_CODES, add_service_options, exit_code, run_with_service
from api.cli.console import Screen
from api.cli.help import Parser, expanded_path
from api.cli.terminal import FAILED, OK, STDIN

RECIPIENT: Final = "/v1/recipients/{}"
NDJSON: Final = "application/x-ndjson"
DESCRIPTION: Final = """\
Writes everything that an account keeps about a person to standard output or a file, one JSON object per line: messages,
events, returned mails, deliveries with their attempts, and profiles. For an access request.
"""


def parser() -> Parser:
    made = Parser(
        prog="feedback-loops export",
        description=DESCRIPTION,
        epilog=f"Example: feedback-loops export john@example.com --output john.ndjson\n\n{EXIT_CODES}",
    )
    add_address(made)
    made.add_argument(
        "--output",
        type=expanded_path,
        metavar="FILE",
        help="a new file, which only you can read; default: standard output",
    )
    add_service_options(made, ACCOUNT)
    made.set_defaults(act=export, code_of=exit_code)
    return made


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Exports, and returns the exit code."""
    return run_with_service("export", parser().parse_args(arguments), environment)


def export(service: Service, screen: Screen, options: argparse.Namespace) -> int:
    where = path(RECIPIENT, address_of(options))
    try:
        with _output(options.output) as output, service.stream(where, TIMEOUT_S, NDJSON) as lines:
            count = _copy(lines, output)
    except FileExistsError:
        screen.beside(f"feedback-loops export: {options.output} exists already")
        return FAILED
    if options.output is not None:
        screen.beside(f"{count} lines in {options.output}")
    return OK


def _copy(lines: Iterator[str], output: TextIO) -> int:
    """Writes the lines, and returns their number.

    Raises:
        NotUnderstood: the last line does not say that the export is complete.
    """
    last, count = "{}", 0
    for line in lines:
        output.write(f"{line}\n")
        last, count = line, count + 1
    end = json.loads(last)
    if end.get("record") != "end":
        raise NotUnderstood(f"the export is not complete: {end.get('detail', 'the answer ended early')}; run it again")
    return count


@contextmanager
def _output(file: Path | None) -> Iterator[TextIO]:
    """Standard output, or a new file that only its owner can read."""
    if file is None or file == STDIN:
        yield sys.stdout
        return
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as output:
        yield output

"""`feedback-loops assets`: writes this version's files for operators, such as units and alert rules."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from api.cli.help import Parser

DESCRIPTION: Final = """\
Writes the files that belong to this version into a directory: a unit and a socket for systemd, a Compose file with the
configuration of its proxy, alert rules for Prometheus and a dashboard for Grafana. Prints their paths.
"""


def parser() -> Parser:
    made = Parser(prog="feedback-loops assets", description=DESCRIPTION)
    made.add_argument("directory", metavar="DIR", type=Path, help="where to write them; created if it does not exist")
    made.add_argument(
        "--overwrite", action="store_true", help="replace files that differ; otherwise nothing is written"
    )
    return made


def run(arguments: Sequence[str], _environment: Mapping[str, str]) -> int:
    """Writes the files."""
    given = parser().parse_args(arguments)
    written = {given.directory / path: content for path, content in assets()}
    try:
        changed = [str(path) for path, content in written.items() if path.exists() and path.read_bytes() != content]
        if changed and not given.overwrite:
            sys.stderr.write(
                f"feedback-loops assets: nothing is written, because these files differ: {', '.join(changed)}. "
                "Choose another directory, or replace them with --overwrite\n"
            )
            return 1
        for path, content in written.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            print(path)  # noqa: T201 - it is what was asked for
    except OSError as exc:
        sys.stderr.write(f"feedback-loops assets: {exc.filename}: {exc.strerror}\n")
        return 1
    return 0


def assets() -> Iterator[tuple[Path, bytes]]:
    """The files with their paths. In a checkout they are links to those in `deploy`."""
    yield from _files(files("api.cli") / "assets", Path())


def _files(folder: Traversable, at: Path) -> Iterator[tuple[Path, bytes]]:
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.is_dir():
            yield from _files(entry, at / entry.name)
        else:
            yield at / entry.name, entry.read_bytes()

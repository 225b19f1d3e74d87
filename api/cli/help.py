"""Argument parser of all commands: uniform help in 80 columns, and no abbreviated options."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from api.cli.terminal import is_unicode

MAX_WIDTH: Final = 80
#: Narrower terminals wrap lines themselves.
MIN_WIDTH: Final = 30
#: What a terminal without Unicode shows instead.
_PLAIN: Final = str.maketrans({"…": "...", "—": "-", "–": "-", "“": '"', "”": '"', "’": "'"})
#: A line of a list: its text begins after the name and two spaces or more.
_ITEM: Final = re.compile(r" +\S+ {2,}| +")


class _Help(argparse.HelpFormatter):
    """Fills paragraphs, and keeps the lines that are indented apart."""

    def __init__(self, prog: str) -> None:
        columns = max(MIN_WIDTH, min(shutil.get_terminal_size().columns, MAX_WIDTH))
        super().__init__(prog, width=columns - 1, max_help_position=22)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n\n".join(_filled(paragraph, width, indent) for paragraph in text.strip().split("\n\n"))


def _filled(paragraph: str, width: int, indent: str) -> str:
    lines: list[str] = []
    for line in paragraph.splitlines():
        # A line without indentation continues the one before it.
        if lines and not line.startswith(" ") and not lines[-1].startswith(" "):
            lines[-1] = f"{lines[-1]} {line}"
        else:
            lines.append(line)
    return "\n".join(wrapped(line, width, indent) for line in lines)


def wrapped(line: str, width: int, indent: str) -> str:
    """The line, indented and wrapped between words. The text of an item of a list hangs below its beginning."""
    item = _ITEM.match(line)
    hanging = indent + " " * (item.end() if item else 0)
    return textwrap.fill(
        line,
        width,
        initial_indent=indent,
        subsequent_indent=hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )


class Parser(argparse.ArgumentParser):
    """`argparse`'s parser without abbreviations, so that a new option never changes the meaning of an old command."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"formatter_class": _Help, "allow_abbrev": False, "add_help": False, **settings})
        self._positionals.title = "arguments"
        self.add_argument("-h", "--help", action="help", help="show this help")

    def _print_message(self, message: str, file: Any = None) -> None:
        # Unlike `argparse`, raises OSError when the file cannot be written.
        (file or sys.stderr).write(plain(message, file or sys.stderr))


def plain(text: str, file: object) -> str:
    """Our own text without the punctuation that the file's character set may lack."""
    return text if is_unicode(file) else text.translate(_PLAIN)


def expanded_path(text: str) -> Path:
    """Reads a path, with `~` expanded."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        raise argparse.ArgumentTypeError(
            "must be a path; `~NAME` is the home directory of a user that exists"
        ) from None


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Reads whole numbers between two bounds, both included."""

    def read(text: str) -> int:
        if not (text.isascii() and text.isdigit() and low <= int(text[:12]) <= high):
            raise argparse.ArgumentTypeError(f"must be a whole number from {low} to {high}")
        return int(text)

    return read

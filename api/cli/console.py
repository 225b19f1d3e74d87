"""Output of the commands: tables for people, or JSON for programs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from api.cli.help import plain
from api.cli.terminal import is_unicode

#: Colours of the states that loops, deliveries and replays have.
COLOURS: Final = {
    "active": "green",
    "delivered": "green",
    "done": "green",
    "completed": "green",
    "ok": "green",
    "unverified": "yellow",
    "paused": "yellow",
    "pending": "yellow",
    "running": "yellow",
    "disabled": "red",
    "dead": "red",
    "cancelled": "red",
    "erased": "yellow",
}
#: Wide enough for any table: what goes into a pipe is never cut or folded.
_PIPE_WIDTH: Final = 100_000
#: Characters that JSON does not escape and that could control a terminal.
_CONTROLS: Final = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """The text with control characters escaped: it may come from others and must not control the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def json_text(value: Any, indent: int | None = None) -> str:
    """JSON without characters that could control a terminal, or that it cannot show."""
    text = json.dumps(value, ensure_ascii=not is_unicode(sys.stdout), indent=indent)
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def value_text(value: Any) -> str:
    """A JSON value on one line: a flat list as its items, other lists and objects as JSON."""
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return ", ".join(printable(str(item)) for item in value)
    return json_text(value) if isinstance(value, list | dict) else printable(str(value))


def cell(value: Any) -> Text:
    """A value of the API as one cell."""
    if isinstance(value, Text):
        return value
    if value is None or value in ("", [], {}):
        return Text("-", "dim")
    if isinstance(value, bool):
        return Text("yes" if value else "no")
    return Text(value_text(value))


def state(name: str) -> Text:
    """A state in its colour."""
    return Text(printable(name), COLOURS.get(name, ""))


def local_time(text: str | None) -> Text:
    """A time of the API in local time."""
    if text is None:
        return cell(None)
    return Text(f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M:%S}")


class Screen:
    """Standard output, for people or, with `is_json`, for programs: commands write both, and one of them is shown.

    Remarks go to standard error in either case. With `only`, that member of the JSON, or of each item of a
    list, is shown and nothing else.
    """

    def __init__(self, *, is_json: bool, only: str | None = None) -> None:
        self.is_json = is_json or only is not None
        self._only = only
        self._console = _console(sys.stdout)
        self._errors = _console(sys.stderr)

    def json(self, value: Any) -> None:
        """Prints the value as indented JSON, or the wanted member as plain lines; without `is_json`, nothing."""
        if self._only is not None:
            items = value if isinstance(value, list) else value.get("data", [value])
            sys.stdout.writelines(f"{line}\n" for item in items for line in _lines(item[self._only]))
        elif self.is_json:
            sys.stdout.write(json_text(value, 2) + "\n")

    def line(self, value: Mapping[str, Any], text: Text) -> None:
        """Prints one of many values at once: as a line of JSON, or as text."""
        if self.is_json:
            sys.stdout.write(json_text(value) + "\n")
        else:
            self._console.print(text, soft_wrap=True)
        sys.stdout.flush()

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[Any]], nothing: str) -> None:
        """Prints a table, or a sentence if it is empty; with `is_json`, nothing."""
        if self.is_json:
            return
        made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for head in heads:
            made.add_column(head, overflow="fold")
        for row in rows:
            made.add_row(*map(cell, row))
        self._console.print(made if made.row_count else Text(nothing, "dim"))

    def facts(self, values: Mapping[str, Any]) -> None:
        """Prints one line per name and value; with `is_json`, nothing."""
        if self.is_json:
            return
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim")
        grid.add_column(overflow="fold")
        for name, value in values.items():
            grid.add_row(name, cell(value))
        self._console.print(grid)

    def say(self, text: str = "") -> None:
        """Prints a sentence for people; with `is_json`, nothing."""
        if not self.is_json:
            self._console.print(Text(printable(plain(text, sys.stdout))), soft_wrap=True)

    def beside(self, text: str) -> None:
        """Prints a sentence to standard error."""
        self._errors.print(Text(printable(plain(text, sys.stderr))), soft_wrap=True)

    @property
    def errors(self) -> Console:
        """Standard error, for progress."""
        return self._errors


def _lines(value: Any) -> list[str]:
    """A member of the JSON as plain lines: the items of a list, or the values of an object."""
    items = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else [value]
    return [item if isinstance(item, str) else json_text(item) for item in items]


def _console(file: Any) -> Console:
    return Console(file=file, width=None if file.isatty() else _PIPE_WIDTH, highlight=False)

"""An event as people like to see it in a terminal."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

COLOURS: Final = {
    "open": "cyan",
    "click": "green",
    "delivery": "blue",
    "unsubscribe": "yellow",
    "bounce": "red",
    "failure": "red",
    "abuse": "red",
    "create": "magenta",
    "update": "magenta",
    "delete": "magenta",
}
#: In the headline already.
_SHOWN: Final = {"type", "recipient"}
CHECKED: Final = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedEvent:
    """One POST that a handler got."""

    #: Unix time, nanoseconds, when it was complete.
    at_ns: int
    path: str
    fields: Mapping[str, Any]
    #: `ok`, what is wrong, or None: not checked.
    signature: str | None

    def to_json(self) -> str:
        """As one line."""
        facts = {"at_ns": self.at_ns, "path": self.path, "signature": self.signature, "fields": self.fields}
        return json.dumps(facts, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Self:
        """What `to_json` wrote."""
        return cls(**json.loads(line))


def rendered(event: ReceivedEvent) -> RenderableType:
    """A headline and a row per field."""
    kind = str(event.fields.get("type", "?"))
    at = datetime.fromtimestamp(event.at_ns / 1e9).astimezone()
    headline = Text.assemble(
        (f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}  ", "dim"),
        (kind, f"bold {COLOURS.get(kind, 'white')}"),
        f"  {event.fields.get('recipient', '')}  ",
        _signature(event.signature),
    )
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim", min_width=14, justify="right")
    table.add_column(overflow="fold")
    for name, value in event.fields.items():
        if name not in _SHOWN:
            table.add_row(Text(name), Text(_value(value)))
    return Group(headline, table)


def _signature(signature: str | None) -> tuple[str, str]:
    if signature is None:
        return "signature not checked (give --secret)", "dim"
    return ("signature ok", "green") if signature == CHECKED else (signature, "bold red")


def _value(value: Any) -> str:
    if isinstance(value, list) and not any(isinstance(item, list | dict) for item in value):
        return ", ".join(map(str, value))
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)

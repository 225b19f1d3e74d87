"""Rendering of a received event for a terminal."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from rich.text import Text

from api.cli.console import printable, value_text
from domain.event_catalogue.triggers import EVENT_TYPES

#: In the headline already.
_SHOWN: Final = {"type", "recipient"}
CHECKED: Final = "ok"
#: Columns of the fields' names.
_NAMES: Final = 14


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedEvent:
    """One POST that the handler received."""

    #: Unix time, nanoseconds, when it was complete.
    at_ns: int
    path: str
    fields: Mapping[str, Any]
    #: `ok`, what is wrong, or None: not checked.
    signature: str | None
    #: Why it was not checked although that was asked for.
    unchecked: str | None = None

    def to_json(self) -> str:
        """As one line."""
        facts = {"at_ns": self.at_ns, "path": self.path, "signature": self.signature, "unchecked": self.unchecked}
        return json.dumps({**facts, "fields": self.fields}, ensure_ascii=False)

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Reads the output of `to_json`."""
        return cls(**json.loads(line))


def colour(trigger: str) -> str:
    """The colour of a trigger's name; other versions may have unknown triggers."""
    return EVENT_TYPES[trigger].colour if trigger in EVENT_TYPES else "white"


def rendered(event: ReceivedEvent, width: int) -> Text:
    """A headline and the fields below it, each on as many lines of `width` columns as it needs; harmless to show."""
    kind = printable(str(event.fields.get("type", "?")))
    at = datetime.fromtimestamp(event.at_ns / 1e9).astimezone()
    text = Text.assemble(
        (f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}  ", "dim"),
        (kind, f"bold {colour(kind)}"),
        f"  {printable(str(event.fields.get('recipient', '')))}  ",
        _signature(event),
    )
    for name, value in event.fields.items():
        if name not in _SHOWN:
            shown = printable(name)
            text.append(f"\n{shown:>{_NAMES}}  ", "dim")
            room = max(width - _NAMES - 2, 20)
            text.append(f"\n{' ' * (_NAMES + 2)}".join(textwrap.wrap(value_text(value), room, break_on_hyphens=False)))
    return text


def _signature(event: ReceivedEvent) -> tuple[str, str]:
    if event.signature is None:
        if event.unchecked is not None:
            return f"signature not checked: {printable(event.unchecked)}", "yellow"
        return "signature not checked (give --secret)", "dim"
    return ("signature ok", "green") if event.signature == CHECKED else (printable(event.signature), "bold red")

"""Rendering of a received event for a terminal."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self

from rich.text import Text

from api.cli.console import json_text, printable, value_text
from domain.event_catalogue.triggers import EVENT_TYPES

#: In the headline already.
_SHOWN: Final = {"type", "recipient"}
CHECKED: Final = "ok"
#: Most characters of a value, of a text in the headline, and most fields that are shown; `--json` shows everything.
MAX_SHOWN: Final = 4_000
MAX_HEADLINE: Final = 400
MAX_FIELDS: Final = 200
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
        return json_text({**facts, "fields": self.fields})

    @classmethod
    def from_json(cls, line: str) -> Self:
        """Reads the output of `to_json`."""
        return cls(**json.loads(line))


def colour(trigger: str) -> str:
    """The colour of a trigger's name; other versions may have unknown triggers."""
    return EVENT_TYPES[trigger].colour if trigger in EVENT_TYPES else "white"


def rendered(event: ReceivedEvent, width: int) -> Text:
    """A headline and the fields below it, each on as many lines of `width` columns as it needs; harmless to show."""
    kind = printable(_cut(str(event.fields.get("type", "?")), MAX_HEADLINE))
    at = datetime.fromtimestamp(event.at_ns / 1e9).astimezone()
    text = Text.assemble(
        (f"{at:%H:%M:%S}.{at.microsecond // 1000:03d}  ", "dim"),
        (kind, f"bold {colour(kind)}"),
        f"  {printable(_cut(str(event.fields.get('recipient', '')), MAX_HEADLINE))}  ",
        _signature(event),
    )
    names = [name for name in event.fields if name not in _SHOWN]
    for name in names[:MAX_FIELDS]:
        shown = printable(_cut(name, MAX_HEADLINE))
        text.append(f"\n{shown:>{_NAMES}}  ", "dim")
        room = max(width - _NAMES - 2, 20)
        lines = textwrap.wrap(_value(event.fields[name]), room, break_on_hyphens=False)
        text.append(f"\n{' ' * (_NAMES + 2)}".join(lines))
    if len(names) > MAX_FIELDS:
        text.append(f"\nand {len(names) - MAX_FIELDS} more fields", "dim")
    return text


def _value(value: Any) -> str:
    """A field's value, cut before anything slow happens to it."""
    if isinstance(value, str):
        return printable(_cut(value, MAX_SHOWN))
    if isinstance(value, list) and len(value) > MAX_SHOWN:
        value = [*value[:MAX_SHOWN], f"and {len(value) - MAX_SHOWN} more"]
    if isinstance(value, list):
        value = [_cut(item, MAX_SHOWN) if isinstance(item, str) else item for item in value]
    return _cut(value_text(value), MAX_SHOWN)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}… ({len(text) - length} more characters)"


def _signature(event: ReceivedEvent) -> tuple[str, str]:
    if event.signature is None:
        if event.unchecked is not None:
            return f"signature not checked: {printable(event.unchecked)}", "yellow"
        return "signature not checked (give --secret)", "dim"
    return ("signature ok", "green") if event.signature == CHECKED else (printable(event.signature), "bold red")

"""Logging setup: log lines as text (`time=… level=… process=… logger=… message="…" key=value …`) or as JSON.

The message is a constant phrase, and `action` is a word to search for; everything that varies is in fields. A line
about an event has its `event_id`, a line about a feedback loop its `loop_id`. No line contains a body, a secret or a
complete e-mail address.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from actors.process_setup.repeated_lines import RepeatFilter

#: Attributes of every record; all others were passed as `extra`. The last is uvicorn's copy of the message.
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
TEXT: Final = "text"
_PLAIN: Final = re.compile(r"[^\s\"=\\]+")
#: An e-mail address, also as a part of a URL.
_ADDRESS: Final = re.compile(r"[^\s\"'<>()\[\]{},;:=&/?|\\]{1,200}(?:@|%40)[^\s\"'<>()\[\]{},;:=&/?|\\]{1,300}")
_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


class LineFormatter(logging.Formatter):
    """Formats each record as one line, in logfmt or JSON, whatever it contains."""

    def __init__(self, process: str, log_format: str = TEXT) -> None:
        """`log_format`: one of `FORMATS`."""
        super().__init__()
        self._process = process
        self._line = FORMATS[log_format]

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        # Ray adds private attributes to every record of a process that has imported it.
        own = (name for name in vars(record) if name not in _STANDARD and not name.startswith("_"))
        facts |= {name: getattr(record, name) for name in own}
        if record.exc_info:
            # The text of an unexpected error may quote its input.
            facts["exception"] = _ADDRESS.sub("…@…", self.formatException(record.exc_info))
        return self._line({name: value for name, value in facts.items() if value is not None})


def _logfmt(facts: dict[str, object]) -> str:
    return " ".join(f"{name}={_quoted(str(value))}" for name, value in facts.items())


def _json(facts: dict[str, object]) -> str:
    return json.dumps(facts, default=str)  # ASCII only, so it contains no terminal escapes and no line breaks


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.isprintable():
        return text
    shown = (_ESCAPES.get(c, c if c.isprintable() else f"\\x{ord(c):02x}") for c in text)
    return f'"{"".join(shown)}"'


#: By the values of the setting `log_format`.
FORMATS: Final[dict[str, Callable[[dict[str, object]], str]]] = {TEXT: _logfmt, "json": _json}


def configure_logging(level: str, process: str, log_format: str = TEXT) -> None:
    """Logs everything of this process from `level` (a name of `logging`) up to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(process, log_format))
    handler.addFilter(RepeatFilter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)

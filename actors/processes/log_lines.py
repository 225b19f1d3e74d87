"""One line of the log, for people and programs: `time=… level=… process=… logger=… message="…" key=value …`."""

from __future__ import annotations

import logging
import re
import sys
from datetime import UTC, datetime
from typing import Final

#: What every record has; all else was given as `extra`. The last is uvicorn's, the message once more.
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}
_PLAIN: Final = re.compile(r"[^\s\"=\\]+")
_ESCAPES: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\"}


class LineFormatter(logging.Formatter):
    """Formats records as logfmt: always one line, whatever they hold."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        facts: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": record.getMessage(),
        }
        # Ray adds private facts to every record of a process that has imported it.
        own = (name for name in vars(record) if name not in _STANDARD and not name.startswith("_"))
        facts |= {name: getattr(record, name) for name in own}
        if record.exc_info:
            facts["exception"] = self.formatException(record.exc_info)
        return " ".join(f"{name}={_quoted(str(value))}" for name, value in facts.items() if value is not None)


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.isprintable():
        return text
    shown = (_ESCAPES.get(c, c if c.isprintable() else f"\\x{ord(c):02x}") for c in text)
    return f'"{"".join(shown)}"'


def configure(level: str, process: str) -> None:
    """Sends all of this process's logging to stderr, from `level` (a name of `logging`'s) up."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LineFormatter(process))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)

"""Log lines about unexpected errors."""

from __future__ import annotations

import logging
import sys

import pytest

from actors.process_setup.logging_setup import FORMATS, LineFormatter

LOCAL = "zebra.crossing+7"


@pytest.mark.parametrize("log_format", FORMATS)
@pytest.mark.parametrize(
    "text",
    [
        f"{LOCAL}@example.com",
        f"cannot read '{LOCAL}@example.com'",
        f"<{LOCAL}@example.com>: unknown",
        f"GET /v1/recipients/{LOCAL}%40example.com?accounts=all",
        f'{{"recipient":"{LOCAL}@example.com"}}',
    ],
)
def test_an_exception_shows_no_address(log_format: str, text: str) -> None:
    """An unexpected error may quote what it could not handle; the rest of the traceback stays."""
    try:
        int(text)
    except ValueError:
        record = logging.LogRecord("test", logging.ERROR, __file__, 1, "it failed", None, sys.exc_info())
    line = LineFormatter("test", log_format).format(record)

    assert LOCAL not in line
    assert "example.com" not in line
    assert "ValueError" in line
    assert "test_logging_setup.py" in line

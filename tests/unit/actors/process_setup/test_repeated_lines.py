"""Repeated log lines: one when a problem begins or changes, and then one a minute with the number left out."""

from __future__ import annotations

import io
import logging
import sys
import time
from collections.abc import Iterator

import pytest

from actors.process_setup import logging_setup


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What the configured process writes to stderr."""
    written = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    monkeypatch.setattr(sys, "stderr", written)
    logging_setup.configure_logging("info", "test")
    yield written
    root.handlers[:] = before
    root.setLevel(level)


def wait(error: str, loop_id: str) -> None:
    facts = {"action": "loop_waits", "loop_id": loop_id, "error": error}
    logging.getLogger("test").warning("a loop waits for the ledger", extra=facts)


def test_a_problem_is_logged_when_it_begins_or_changes(lines: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many loops try again, and however often."""
    now_s = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    for n in range(180):
        now_s = n / 14
        wait("connection refused", f"fl_{n % 9}")
    wait("the database system is starting up", "fl_1")
    now_s = 61.0
    wait("connection refused", "fl_1")

    logged = lines.getvalue().splitlines()
    assert ["starting" in line for line in logged] == [False, True, False]
    assert "left_out=179" in logged[2]
    assert "left_out" not in logged[0]


def test_facts_are_never_left_out(lines: io.StringIO) -> None:
    """What happened to a loop or delivery is no attempt, and neither is an unexpected error."""
    for _ in range(3):
        logging.getLogger("test").info("a delivery is dead", extra={"action": "delivery_dead", "error": "503"})
        logging.getLogger("test").error("unexpected", extra={"action": "failed", "error": "boom"})

    assert len(lines.getvalue().splitlines()) == 6

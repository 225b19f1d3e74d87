"""Every query of the reader goes by an index."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path

import pytest

from actors import commands as c
from actors.ledger import history_views, outbox, queries, views
from actors.ledger.connection import open_writer
from actors.ledger.schema import migrate

ACCOUNT = c.Account(no=1, id="acc", name="Acme")
#: Not tables: lists of parameters, and sub-queries that a LIMIT holds short.
SHORT = ("json_each", "wanted", "d", "e", "(subquery")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    made = open_writer(tmp_path / "ledger.sqlite")
    migrate(made)
    yield made
    made.close()


def plan(connection: sqlite3.Connection, statement: str, params: Sequence[object]) -> list[str]:
    return [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", params)]


def scans(steps: list[str]) -> list[str]:
    """The steps that read a whole table, or build an index for want of one."""
    read = [(step, re.split(r"[ -]", step.removeprefix("SCAN "))[0]) for step in steps if step.startswith("SCAN ")]
    return [step for step, what in read if what not in SHORT] + [step for step in steps if "AUTOMATIC" in step]


def test_a_scan_would_be_seen(connection: sqlite3.Connection) -> None:
    """The check itself finds a query that reads a whole table."""
    assert scans(plan(connection, "SELECT * FROM deliveries WHERE attempts = ?", [1])) == ["SCAN deliveries"]


FIXED = {
    "events_of": (queries.EVENTS_OF, 1),
    "routes_version": (queries.ROUTES_VERSION, 0),
    "messages": (queries.MESSAGES, 1),
    "profiles": (queries.PROFILES, 1),
    "taken_firsts": (queries.TAKEN_FIRSTS, 1),
    "loops_owed": (queries.LOOPS_OWED.format("?,?"), 2),
    "due": (queries.DUE_DELIVERIES, 4),
    "next_due": (queries.NEXT_DUE, 1),
    "account": (views.ACCOUNT_BY_KEY, 1),
    "loop": (views.LOOP, 1),
    "loops": (views.LOOPS_OF_ACCOUNT, 3),
    "message": (views.MESSAGE, 2),
    "history": (views.HISTORY, 3),
    "profile": (views.PROFILE, 3),
    "attempts": (history_views.ATTEMPTS, 1),
    "known events": (outbox.KNOWN, 1),
}


@pytest.mark.parametrize("name", FIXED)
def test_look_ups_search(connection: sqlite3.Connection, name: str) -> None:
    """No look-up reads a whole table."""
    statement, parameters = FIXED[name]

    assert scans(plan(connection, statement, ["[]"] * parameters)) == []


def test_due_deliveries_are_read_in_order(connection: sqlite3.Connection) -> None:
    """The outbox is read along its index: no backlog is sorted to find the soonest."""
    steps = plan(connection, queries.DUE_DELIVERIES, [1, 1, "[]", 1])
    outbox_step = next(n for n, step in enumerate(steps) if "deliveries_due" in step)

    assert "loop_no=? AND due_at_ms<?" in steps[outbox_step]
    assert not [step for step in steps[:outbox_step] if "TEMP B-TREE" in step]
    assert len([step for step in steps if "TEMP B-TREE" in step]) <= 1


@pytest.mark.parametrize(
    ("type_", "message", "recipient"), list(product((None, "open"), (None, "m"), (None, "a@example.com")))
)
def test_events_are_listed_by_index(
    connection: sqlite3.Connection, type_: str | None, message: str | None, recipient: str | None
) -> None:
    """Each mix of filters searches the index that fits, down to the range of time."""
    query = c.ListEvents(account=ACCOUNT, type=type_, message_id=message, recipient=recipient, since_ms=1, until_ms=2)
    steps = plan(connection, *history_views.events_statement(query))
    [step] = [s for s in steps if s.startswith("SEARCH events")]

    assert scans(steps) == []
    assert "event_id>? AND event_id<?" in step
    if message or recipient:
        assert "events_of_message" in step
    else:
        assert len([s for s in steps if "TEMP B-TREE" in s]) <= 1  # the page, not what it is cut from
        assert ("events_of_type" in step) == (type_ is not None)


@pytest.mark.parametrize(("type_", "state"), list(product((None, "open"), (None, "dead", "pending", "delivered"))))
def test_deliveries_are_listed_by_index(connection: sqlite3.Connection, type_: str | None, state: str | None) -> None:
    """Each mix of filters reads its stretch of the loop's index, down to the range of time."""
    query = c.ListDeliveries(account=ACCOUNT, loop_id="fl", type=type_, state=state, since_ms=1, until_ms=2)
    steps = plan(connection, *history_views.deliveries_statement(1, query))
    searches = [s for s in steps if s.startswith("SEARCH deliveries")]

    assert scans(steps) == []
    assert len(searches) == (1 if state else 3)
    assert all("loop_no=? AND state=? AND created_at_ms>? AND created_at_ms<?" in s for s in searches)

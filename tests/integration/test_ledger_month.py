"""A simulated month under constant load, in which the size of the ledger's file stays level."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from actors.commands.service import ClaimKey
from tests.contract.ledger_facts import Store, Tenant, event, failed, outcome
from tests.contract.sqlite_store import sqlite_stores

DAY_MS = 86_400_000
#: Times of a day at which events come. Each makes several commits, which wait for the disk.
BATCHES = 6
#: Events of a batch, few for a test's sake.
EVENTS = 48
KEEP_DELIVERIES_DAYS, KEEP_ATTEMPTS_DAYS, KEEP_EVENTS_DAYS = 5, 3, 7


def add_batch(store: Store, tenant: Tenant, loop_no: int, message_key: int) -> None:
    """Events, first hits, deliveries that succeed, die or wait for a retry, and a repeated request."""
    at_ms = store.clock.ms
    made = [
        event(tenant, message_key, [loop_no], time_ms=at_ms, fields={"first": 1}, first_key=0)
        if n == 0
        else event(tenant, message_key + n, [loop_no], time_ms=at_ms)
        for n in range(EVENTS)
    ]
    ids = [i for of_event in store.record(*made).delivery_ids for i in of_event]
    store.outcomes(*(failed(i, 1, at_ms)._replace(at_ms=at_ms) for i in ids[:3]))
    store.outcomes(*(outcome(i, 2, at_ms=at_ms) for i in ids[:3]), *(outcome(i, at_ms=at_ms) for i in ids[3:-1]))
    store.outcomes(outcome(ids[-1], state=2, status=500, at_ms=at_ms))
    store.run(store.writer.claim_key(ClaimKey(scope="acc", key=f"k{at_ms}", fingerprint="f")))


def drop_old(store: Store) -> int:
    now_ms = store.clock.ms
    return store.drop(
        20,
        deliveries=now_ms - KEEP_DELIVERIES_DAYS * DAY_MS,
        attempts=now_ms - KEEP_ATTEMPTS_DAYS * DAY_MS,
        events=now_ms - KEEP_EVENTS_DAYS * DAY_MS,
    )


def test_the_file_stays_level_under_constant_load(tmp_path: Path) -> None:
    """Once the longest retention period has passed, the file stops growing and holds only the rows of the last days."""
    pages: list[int] = []
    with sqlite_stores(tmp_path) as store, closing(sqlite3.connect(tmp_path / "ledger-0.sqlite")) as connection:
        tenant = store.account()
        loop = store.active_loop(tenant)
        for batch in range(30 * BATCHES):
            add_batch(store, tenant, loop.no, 1 + batch * EVENTS)
            store.clock.ms += DAY_MS // BATCHES
            if batch % BATCHES == BATCHES - 1:
                drop_old(store)
                [(count,)] = connection.execute("PRAGMA page_count")
                pages.append(count)
        assert drop_old(store) == 0
        kept = {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("deliveries", "attempts", "events", "first_hits", "stored_events", "idempotency")
        }

    first_window = pages[KEEP_EVENTS_DAYS]
    assert pages[0] < first_window
    assert max(pages[KEEP_EVENTS_DAYS + 1 :]) <= first_window * 1.02
    a_day = BATCHES * EVENTS
    assert kept["deliveries"] == KEEP_DELIVERIES_DAYS * a_day
    assert kept["attempts"] == KEEP_ATTEMPTS_DAYS * (a_day + 3 * BATCHES)
    assert kept["events"] == KEEP_EVENTS_DAYS * a_day
    assert kept["first_hits"] == KEEP_EVENTS_DAYS * BATCHES
    assert kept["stored_events"] == kept["events"] + 2 + 2  # the account's and the loop's
    assert kept["idempotency"] == BATCHES - 1

"""Kill -9 during the erasure of a person from profiles."""

from __future__ import annotations

import asyncio
import json
import signal
import sqlite3
import subprocess
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from actors.ledger.erasure.port import RequestErasure
from domain.erasure import person_digest
from domain.profile_change import ProfileKey
from tests.contract.ledger_facts import Store
from tests.contract.ledger_profiles_suite import Caller
from tests.contract.sqlite_store import sqlite_stores

JOHN, JANE = "john@example.com", "jane@example.com"
#: Profiles of each kind: of the person, of several people, and of someone else.
EACH = 30


def prepared(store: Store, caller: Caller) -> None:
    """Profiles with a history, and the request to erase John."""

    async def act() -> None:
        for n in range(EACH):
            for version in range(3):
                await caller.put({"email": JOHN, "mark": f"private-{version}"}, key=ProfileKey("1", f"mine-{n}"))
                await caller.put({"a": JOHN, "b": JANE, "n": version}, key=ProfileKey("1", f"ours-{n}"))
            await caller.put({"email": JOHN, "mark": "private"}, key=ProfileKey("1", f"mine-{n}", "orders", "7"))
            await caller.put({"email": JANE, "mark": "hers"}, key=ProfileKey("1", f"hers-{n}"))
        request = RequestErasure(
            id="ers_1", account_no=caller.tenant.no, person=JOHN, digest=person_digest(b"k" * 32, JOHN)
        )
        await store.writer.change_erasures(request)

    store.run(act())


@pytest.mark.parametrize("lines", [1, 4, 9])
def test_each_change_is_recorded_once(tmp_path: Path, lines: int) -> None:
    """However often the process is killed: each profile has one deletion or one update, and one delivery of it."""
    with sqlite_stores(tmp_path) as store:
        caller = Caller(store, store.account())
        loop = store.active_loop(caller.tenant, triggers=["update", "delete"])
        prepared(store, caller)
        before = len(store.reader.due_deliveries(loop.no, 2**47, 10_000, []))
        asyncio.run(store.writer.close())
        [path] = tmp_path.glob("*.sqlite")
        command = [sys.executable, "-m", "tests.integration.erase_until_killed", str(path)]
        kills = 0
        while True:
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
                assert child.stdout is not None
                got = [child.stdout.readline() for _ in range(lines)]
                if "done\n" in got:
                    break
                child.send_signal(signal.SIGKILL)
                if "done\n" in child.stdout.readlines():
                    break
            kills += 1
            lines += 1

        recorded = [json.loads(json.loads(each.state).get("fields", "{}")) for each in store.log()]
        events = [each for each in recorded if each.get("type") and not each.keys() & {"parameters", "erased"}]
        changes = Counter((each["type"], each["profile"].partition("-")[0], "collection" in each) for each in events)
        assert changes == {
            ("delete", "mine", False): EACH,
            ("delete", "mine", True): EACH,
            ("update", "ours", False): EACH,
        }
        assert len({(each["profile"], each.get("collection")) for each in events}) == 3 * EACH
        due = [json.loads(each.fields) for each in store.reader.due_deliveries(loop.no, 2**47, 10_000, [])]
        assert len(due) == before + 3 * EACH - 2 * EACH  # the former updates of John's profiles are not delivered
        with closing(sqlite3.connect(path)) as connection:
            counts = connection.execute("SELECT profiles FROM erasures").fetchone()
            everything = repr(connection.execute("SELECT * FROM stored_events").fetchall())
            left = connection.execute("SELECT count(*) FROM erasure_histories").fetchone()
        assert (counts, left) == ((3 * EACH,), (0,))
        assert [text for text in (JOHN, "private", "hers") if text in everything] == ["hers"]
        assert kills > 0

"""Program that erases people from the profiles of a ledger (argument), and prints a line for each step of the work."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from actors.application.erasure_profiles import ErasureChanges, ProfilesAction
from actors.application.event_recorder import EventRecorder
from actors.ledger.erasure import store as rows
from actors.ledger.erasure.runner import Batches, ErasureRunner
from actors.ledger.erasure.step import ErasureAction
from actors.ledger.erasure.steps.histories import HistoriesStep
from actors.ledger.erasure.steps.messages import MessagesStep
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.writer import SQLiteLedgerWriter
from tests.contract.ledger_profiles_suite import Offers


def runner(ledger: SQLiteLedgerWriter, path: Path) -> ErasureRunner:
    """The steps about messages and profiles, in small batches."""
    store, changes = ledger.erasure_store, ErasureChanges(ledger)
    recorder = EventRecorder(changes, SQLiteLedgerReader(path), Offers())
    actions: list[ErasureAction] = [
        Batches(MessagesStep(lambda: b"k" * 32), store),
        ProfilesAction(store, changes, recorder),
        Batches(HistoriesStep(), store, limit=5),
    ]
    return ErasureRunner(actions, store)


async def erase(path: Path) -> None:
    """Erases until nothing is left to do."""
    ledger = SQLiteLedgerWriter(path)
    steps, store = runner(ledger, path), ledger.erasure_store
    while await steps.advance():
        [erasure] = await asyncio.to_thread(rows.running, store.connection)
        print(erasure.step, erasure.position, flush=True)
    print("done", flush=True)
    await ledger.close()


if __name__ == "__main__":
    asyncio.run(erase(Path(sys.argv[1])))

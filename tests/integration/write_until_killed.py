"""Program that writes batches to a ledger (argument), and prints the event ids of each batch once it is answered."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from actors.ledger.postgres.writer import PostgresLedgerWriter
from actors.ledger.sqlite.writer import SQLiteLedgerWriter
from actors.ledger.writer import StoreWriter
from domain.tracking import EventToRecord
from tests.contract.ledger_facts import NOW_MS, event_id


async def main(store: str) -> None:
    ledger = PostgresLedgerWriter(store) if store.startswith("postgresql:") else SQLiteLedgerWriter(Path(store))
    await asyncio.gather(*(write(ledger) for _ in range(4)))


async def write(ledger: StoreWriter) -> None:
    while True:
        ids = [event_id() for _ in range(10)]
        batch = [EventToRecord(i, 1, "open", 0, None, NOW_MS, b"{}", [1]) for i in ids]
        await ledger.record_events(1, batch)
        print(*(i.hex() for i in ids), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))

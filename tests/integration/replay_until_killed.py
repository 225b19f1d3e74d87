"""Program that advances the running replay of loop 1 (argument: ledger), printing its progress, until it is killed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.writer import SQLiteLedgerWriter


async def main(path: Path) -> None:
    ledger = SQLiteLedgerWriter(path)
    replay = SQLiteLedgerReader(path).running_replay(1)
    assert replay is not None
    while replay.state == "running":
        replay = await ledger.advance_replay(replay.id, 7)
        print(replay.done, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))

"""Program that imports a ledger (arguments: data directory, store URL), a few rows at a time, until it is killed."""

from __future__ import annotations

import sys
from pathlib import Path

from actors.ledger.postgres.import_sqlite import import_ledger

if __name__ == "__main__":
    import_ledger(Path(sys.argv[1]), sys.argv[2], lambda *line: print(*line, flush=True), batch=10)

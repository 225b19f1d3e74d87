"""`make bench`: every figure that the documentation quotes, one after the other, into `benchmarks/results/`.

A row that misses what is promised fails; the others are measured all the same, and what failed is told at the end.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

RESULTS = Path(__file__).parent / "results"
#: Each writes its own file when it is told where to.
TO_FILES = ("main_job", "postgres", "retries", "memory", "drain", "isolation", "scaling", "loops", "cost")
#: Each prints a table.
TO_TEXT = (
    "bench_edge",
    "bench_ledger",
    "bench_sender",
    "bench_lane",
    "bench_attempt_log",
    "bench_metrics",
    "bench_pages",
)


def main() -> None:
    RESULTS.mkdir(exist_ok=True)
    failed = [name for name in TO_FILES if not _run(name, "--out", str(RESULTS))]
    failed += [name for name in TO_TEXT if not _run(name, into=RESULTS / f"{name}.txt")]
    if failed:
        sys.exit(f"failed, or missed what is promised: {', '.join(failed)}")


def _run(name: str, *arguments: str, into: Path | None = None) -> bool:
    """Measures one row, and says whether it is as promised; what it prints is kept in the file `into`."""
    print(f"--- {name}", flush=True)
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    run = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.PIPE if into else None, text=True)
    if into is not None:
        print(run.stdout, flush=True)
        if run.returncode == 0:
            into.write_text(run.stdout)
    return run.returncode == 0


if __name__ == "__main__":
    main()

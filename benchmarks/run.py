"""`make bench`: every figure that the documentation quotes, one after the other, into `benchmarks/results/`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.service import ROOT

RESULTS = Path(__file__).parent / "results"
#: Each writes its own file when it is told where to.
TO_FILES = ("main_job", "postgres", "retries", "memory", "drain", "scaling", "loops")
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
    for name in TO_FILES:
        print(f"--- {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"benchmarks.{name}", "--out", str(RESULTS)], cwd=ROOT, check=True)
    for name in TO_TEXT:
        print(f"--- {name}", flush=True)
        run = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}"], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
        )
        print(run.stdout, flush=True)
        (RESULTS / f"{name}.txt").write_text(run.stdout)


if __name__ == "__main__":
    main()

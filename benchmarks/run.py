"""Runner of `make bench`: measures every figure that the documentation quotes, and writes it to `benchmarks/results/`.

A row that misses a guarantee fails. The others still run, and the failed rows are listed at the end.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.paths import ROOT

RESULTS = Path(__file__).parent / "results"
#: Rows that write a file to the folder in `--out`.
TO_FILES = (
    *("main_job", "reports", "clicks_beside_reports", "postgres", "retries", "memory", "drain", "isolation", "scaling"),
    *("loops", "imports", "cost"),
)
#: Rows that print a table.
TO_TEXT = (
    "bench_edge",
    "bench_ledger",
    "bench_sender",
    "bench_lane",
    "bench_attempt_log",
    "bench_metrics",
    "bench_pages",
    "bench_messages",
    "bench_returned_mail",
)


def main() -> None:
    RESULTS.mkdir(exist_ok=True)
    failed = [name for name in TO_FILES if not _run(name, "--out", str(RESULTS))]
    failed += [name for name in TO_TEXT if not _run(name, into=RESULTS / f"{name}.txt")]
    if failed:
        sys.exit(f"failed, or missed a guarantee: {', '.join(failed)}")


def _run(name: str, *arguments: str, into: Path | None = None) -> bool:
    """Measures one row. Returns whether it met its guarantees. Writes its output to the file `into`, if given."""
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

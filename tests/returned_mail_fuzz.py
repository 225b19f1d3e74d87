"""Search for mails that crash the parser or take it long.

python -m tests.returned_mail_fuzz [COUNT]     parses so many mutated mails and writes the result file
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from typing import Final

from actors.returned_mail.frames import Request
from actors.returned_mail.parser_process import parse
from domain.returned_mail.outcome import outcomes
from domain.returned_mail.raw import canonical_bytes, mail_text
from tests.paths import ROOT
from tests.returned_mail_mutations import mutants

RESULT: Final = ROOT / "benchmarks/results/returned_mail_fuzz.json"
SEED: Final = 20_240_101


def fuzz(count: int) -> dict[str, object]:
    """The result of parsing `count` mutated mails: errors, kinds, and the slowest in milliseconds of CPU time."""
    errors: Counter[str] = Counter()
    kinds: Counter[str] = Counter()
    slowest = (0.0, "", 0)
    start = time.process_time()
    for mutation, raw in mutants(SEED, count):
        before = time.process_time()
        try:
            report = parse(Request(raw, ""))
            outcomes(report)
            mail_text(raw)
            canonical_bytes(raw)
            kinds[report.kind.value] += 1
        except Exception as exc:  # noqa: BLE001 - counted
            errors[f"{mutation}: {type(exc).__name__}: {exc}"[:200]] += 1
        slowest = max(slowest, ((time.process_time() - before) * 1000, mutation, len(raw)))
    return {
        "mails": count,
        "seed": SEED,
        "errors": dict(errors),
        "kinds": dict(sorted(kinds.items())),
        "slowest": {"cpu_ms": round(slowest[0], 1), "mutation": slowest[1], "bytes": slowest[2]},
        "mean_cpu_ms": round((time.process_time() - start) / count * 1000, 2),
    }


def main() -> None:
    result = fuzz(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    sys.stdout.write(RESULT.read_text())
    if result["errors"]:
        sys.exit(1)


if __name__ == "__main__":
    main()

"""A row of `make bench` as a command of its own: its options, its file of results, and whether it is as promised."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

#: Takes the options and an empty folder that is removed afterwards; gives what was measured.
Measure = Callable[[argparse.Namespace, Path], dict[str, Any]]


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "",
    )
    memory_kb = int(Path("/proc/meminfo").read_text().split()[1])
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "memory_gib": round(memory_kb / 2**20, 1),
        "kernel": platform.release().partition("-")[0],
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def run(
    name: str,
    description: str | None,
    measure: Measure,
    defaults: Mapping[str, int | float | str],
    is_kept: Callable[[dict[str, Any]], bool] = lambda _result: True,
) -> None:
    """Measures, prints the result and, with `--out FOLDER`, keeps it in `FOLDER/<name>.json`; then exits.

    `defaults`: what each option is when it is not given. `is_kept`: whether the result is as promised; if not, it
    exits with 1, and its file is written all the same.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option, default in defaults.items():
        parser.add_argument(f"--{option}", type=type(default), default=default)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="feedback-loops-bench-") as folder:
        measured = measure(options, Path(folder))
    given = " ".join(f"--{option} {getattr(options, option)}" for option in defaults)
    command = f"python -m benchmarks.{name} {given}".rstrip()
    text = json.dumps({"machine": machine(), "command": command, **measured}, indent=2)
    print(text)
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"{name}.json").write_text(text + "\n")
    sys.exit(not is_kept(measured))

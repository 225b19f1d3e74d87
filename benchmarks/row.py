"""Runner of one `make bench` row: its options, its results file, and its check of the guarantees."""

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

#: Takes the options and an empty folder, which is removed afterwards. Returns the results.
Measure = Callable[[argparse.Namespace, Path], dict[str, Any]]


def machine() -> dict[str, Any]:
    """Returns a description of this machine."""
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
    """Measures, prints the result, writes it to `FOLDER/<name>.json` if `--out FOLDER` is given, and exits.

    `defaults`: the options and their default values. `is_kept`: whether the result meets the guarantees. If not, exits
    with status 1, after writing the file.
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

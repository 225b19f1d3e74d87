"""Benchmark of CPU time per event, idle CPU time and idle memory, compared with another commit.

    python -m benchmarks.cost [--against HEAD~1] [--rounds 5] [--blocks 6] [--seconds 3] [--clicks 4000] [--idle 10]
        [--out benchmarks/results]

`--against` is a commit. The default is HEAD, or HEAD~1 if `actors`, `api` and `domain` have no uncommitted changes.
Both versions run with the Python packages that are installed here. `--against self` compares this version with itself:
the spread of its ratios is the error of the method on this machine. Five rounds take about 20 minutes.

Each round starts both versions again. First, each version runs without the other, with one verified loop and no events.
This measures its idle CPU time over `--idle` seconds, and its memory (PSS). Then both run and take turns under the same
loads, in `--blocks` blocks each: `--seconds` at 100 and at 300 clicks per second (open loop), and `--clicks` at full
speed (closed loop). CPU time is that of all processes of the service, from the first request until half a second after
the last POST arrived, so that it includes recording the outcomes. It does not include the kernel's threads, such as
those that write to the disk.

The results have the medians of both versions for each figure, the median of the rounds' ratios (this version divided by
the other), and the smallest and largest ratios. CPU time and memory are also listed by kind of process. The row fails
if an event costs more than with the other version under any of the loads (`benchmarks.pairs.is_more`).
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import row
from benchmarks.main_job import send
from benchmarks.pairs import AGAINST, THIS, Figures, Round, compared, is_more, turns
from benchmarks.process_tree import Reading, memory_mb, read, settle, spent_s
from tests.paths import ROOT
from tests.service import Service, Sink, eventually

PACKAGES = ("actors", "api", "domain")
#: Clicks per second; 0 is full speed.
LOADS = {"at_100_per_s": 100.0, "at_300_per_s": 300.0, "at_full_load": 0.0}
COST = "cpu_us_per_event_"
WARM_UP = 2_000
TAIL_S = 0.5


class Block(NamedTuple):
    """The measurements of one version during a number of clicks."""

    clicks: int
    #: From the first request to the last POST.
    seconds: float
    spent_s: dict[str, float]
    took_ms: list[float]


class Side:
    """A service of one version with one loop, and the loop's handler."""

    def __init__(self, code: Path, folder: Path, clicks: int) -> None:
        """Starts the service, registers the links for all clicks in advance, and warms the service up."""
        folder.mkdir()
        self._folder = folder
        self._sink = Sink()
        self.service = Service(folder / "data")
        self.service.code = code
        self._done = 0
        try:
            self._sink.start()
            account = self.service.start().account()
            account.loop(self._sink)
            self._paths = account.click_paths(WARM_UP + clicks)
            self.block(0, WARM_UP)
        except BaseException:
            self.close()
            raise

    def block(self, rate: float, clicks: int) -> Block:
        """Clicks the next links, and waits for their POSTs and outcomes."""
        first, self._done = self._done, self._done + clicks
        paths = self._paths[first : self._done]
        readings: list[Reading] = []
        self._sink.command("reset")
        sent = send(self.service.port, paths, self._folder, rate, begin=lambda: readings.append(read(self.service)))
        eventually(lambda: self._sink.stats()["unique"] >= clicks, 120, "every click was POSTed", 0.1)
        last_ns = self._sink.stats()["last_ns"]
        time.sleep(max(last_ns / 1e9 + TAIL_S - time.monotonic(), 0.0))
        readings.append(read(self.service))
        arrivals = self._sink.arrivals()
        took_ms = [(arrivals[first + n] - due) / 1e6 for n, due in enumerate(sent["times"])]
        return Block(clicks, (last_ns - sent["first_ns"]) / 1e9, spent_s(*readings), took_ms)

    def close(self) -> None:
        self.service.end()
        self._sink.stop()


def idle_sums(code: Path, folder: Path, idle_s: float) -> dict[str, dict[str, float]]:
    """Returns what a service uses without events. No other service may run: PSS divides libraries among all of them."""
    with contextlib.closing(Side(code, folder, 0)) as side:
        settle(side.service)
        before, began_s = read(side.service), time.monotonic()
        time.sleep(idle_s)
        spent, took_s = spent_s(before, read(side.service)), time.monotonic() - began_s
        cpu_ms = {kind: seconds * 1e3 / took_s for kind, seconds in spent.items()}
        return {"idle_cpu_ms_per_s": cpu_ms, "idle_memory_mb": memory_mb(side.service)}


def load_blocks(
    codes: Mapping[str, Path], options: argparse.Namespace, folder: Path
) -> dict[str, dict[str, list[Block]]]:
    """Returns blocks by version and load.

    Both services run all the time, and take turns to get clicks. A machine's speed changes within a minute by more
    than the 3 % that matter here, so the blocks of the two versions must be seconds apart, and a start takes longer
    than that. The waiting service uses about 3 % of two cores. That slows both versions equally, and is not counted:
    each version only has the CPU time of its own processes.
    """
    counts = {load: round(rate * options.seconds) or options.clicks for load, rate in LOADS.items()}
    links = options.blocks * sum(counts.values())
    blocks: dict[str, dict[str, list[Block]]] = {name: {load: [] for load in LOADS} for name in codes}
    with contextlib.ExitStack() as stack:
        sides = {
            name: stack.enter_context(contextlib.closing(Side(code, folder / name, links)))
            for name, code in codes.items()
        }
        settle(*(side.service for side in sides.values()))
        for load, rate in LOADS.items():
            for name in turns(list(codes), options.blocks):
                blocks[name][load].append(sides[name].block(rate, counts[load]))
    return blocks


def figures_of(idle: dict[str, dict[str, float]], loaded: Mapping[str, Sequence[Block]]) -> Figures:
    """Returns a version's figures of one round."""
    figures = Figures(dict(idle), {})
    for load, blocks in loaded.items():
        clicks = sum(block.clicks for block in blocks)
        spent: Counter[str] = Counter()
        for block in blocks:
            spent.update(block.spent_s)
        figures.sums[COST + load] = {kind: seconds / clicks * 1e6 for kind, seconds in spent.items()}
        if LOADS[load]:
            took_ms = sorted(took for block in blocks for took in block.took_ms)
            figures.others[f"p50_ms_{load}"] = took_ms[clicks // 2]
            figures.others[f"p99_ms_{load}"] = took_ms[clicks * 99 // 100]
        else:
            figures.others[f"events_per_s_{load}"] = clicks / sum(block.seconds for block in blocks)
    return figures


def one_round(codes: Mapping[str, Path], options: argparse.Namespace, folder: Path) -> Round:
    """Returns both versions' figures. The first of `codes` starts first, and takes the first turn."""
    idle = {name: idle_sums(code, folder / f"{name}-idle", options.idle) for name, code in codes.items()}
    loaded = load_blocks(codes, options, folder)
    figures = {name: figures_of(idle[name], loaded[name]) for name in codes}
    for name in codes:
        print(name, {figure: round(value, 1) for figure, value in figures[name].all().items()}, flush=True)
    return figures


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    against = options.against if options.against == "self" else _git("rev-parse", "--short", options.against)
    this = _git("rev-parse", "--short", "HEAD") + (" and changes" if _changed() else "")
    busy = round(os.getloadavg()[0], 2)
    codes = {AGAINST: code_of(options.against, folder / "code"), THIS: ROOT}
    rounds = []
    for number in range(options.rounds):
        order = (AGAINST, THIS) if number % 2 == 0 else (THIS, AGAINST)
        with tempfile.TemporaryDirectory(dir=folder) as place:
            rounds.append(one_round({name: codes[name] for name in order}, options, Path(place)))
    return {"versions": {AGAINST: against, THIS: this}, "load_average_before": busy, **compared(rounds)}


def is_kept(result: Mapping[str, Any]) -> bool:
    """Whether an event costs no more than with the other version under any load. Other figures may differ."""
    return not any(is_more(figure) for name, figure in result["figures"].items() if name.startswith(COST))


def code_of(commit: str, folder: Path) -> Path:
    """Writes the program at a commit to the folder and compiles it. Returns its root: for `self`, this program's."""
    if commit == "self":
        return ROOT
    archive = subprocess.run(["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    subprocess.run([sys.executable, "-m", "compileall", "-q", *PACKAGES], cwd=folder, check=True)
    return folder


def _changed() -> bool:
    """Whether the program differs from the last commit."""
    return bool(_git("status", "--porcelain", "--", *PACKAGES))


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


def main() -> None:
    against = "HEAD" if _changed() else "HEAD~1"
    numbers = {"rounds": 5, "blocks": 6, "seconds": 3.0, "clicks": 4_000, "idle": 10.0}
    row.run("cost", __doc__, measure, {"against": against, **numbers}, is_kept)


if __name__ == "__main__":
    main()

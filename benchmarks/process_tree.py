"""Process tree of a service: kinds, CPU time and memory of its processes.

It works for versions that name their modules and classes differently.
"""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Final, NamedTuple

import psutil

from tests.service import Service

RAY: Final = "Ray's own"
#: Part of the name of an actor's class, or of a program's module, to the kind of process. The first match counts.
ACTORS: Final = {"ledger": "ledger", "enrich": "enrichment", "loop": "loops", "supervisor": "supervisor"}
MODULES: Final = {"ray.": RAY, "local_node": RAY, "gateway": "gateway", "api.cli": "keeper", "api.": "front end"}
#: The number of the kernel's CPU-time clock of a process.
CPU_CLOCK: Final = 2


class Used(NamedTuple):
    """A process and its CPU time so far."""

    kind: str
    parent: int
    own_s: float
    #: The CPU time of its ended children that it waited for.
    ended_s: float


#: By process id.
Reading = Mapping[int, Used]


def kind_of(command: str) -> str:
    """Returns the kind of a process from its command line, or its own name if no kind matches."""
    words = command.split()
    if command.startswith("ray::"):
        name = words[0].removeprefix("ray::").partition(".")[0]
        others = name if name.endswith("Actor") else RAY
        return next((kind for sign, kind in ACTORS.items() if sign in name.lower()), others)
    if "-m" in words[:-1]:
        module = words[words.index("-m") + 1]
        return next((kind for sign, kind in MODULES.items() if sign in module), module)
    if any("/ray/" in word for word in words[:2]):
        return RAY
    return PurePath(words[0]).name if words else "no name"


def read(service: Service) -> Reading:
    """Returns the CPU time of each process of the service so far."""
    processes = list(_described(service))
    return {process.pid: used for process, kind, parent in processes if (used := _used(process, kind, parent))}


def _described(service: Service) -> Iterator[tuple[psutil.Process, str, int]]:
    """Yields each process, its kind and its parent. This is slow, so callers finish it before they read a time."""
    for process in service.tree():
        with contextlib.suppress(psutil.Error):
            yield process, kind_of(" ".join(process.cmdline())), process.ppid()


def _used(process: psutil.Process, kind: str, parent: int) -> Used | None:
    try:
        times = process.cpu_times()
        return Used(kind, parent, cpu_s(process.pid), times.children_user + times.children_system)
    except (psutil.Error, OSError):
        return None


def cpu_s(pid: int) -> float:
    """Returns the CPU time of a process so far, including that of its ended threads.

    It comes from the process's clock (`clock_getcpuclockid(3)`), because /proc counts in steps of 10 ms, and 10 ms can
    be all that a process spends on a hundred clicks.
    """
    return time.clock_gettime_ns(~pid << 3 | CPU_CLOCK) / 1e9


def spent_s(before: Reading, after: Reading) -> dict[str, float]:
    """Returns the CPU time between two readings, by kind.

    If a process ended in between and its parent waited for it, its CPU time after the first reading counts for the
    parent's kind. If no process waited for it, that time is lost.
    """
    spent: dict[str, float] = defaultdict(float)
    for pid, now in after.items():
        then = before.get(pid, Used(now.kind, now.parent, 0.0, 0.0))
        gone = [used for other, used in before.items() if used.parent == pid and other not in after]
        earlier_s = sum(used.own_s + used.ended_s for used in gone)
        spent[now.kind] += now.own_s - then.own_s + max(now.ended_s - then.ended_s - earlier_s, 0.0)
    return dict(spent)


def memory_mb(service: Service) -> dict[str, float]:
    """Returns the memory by kind as PSS, which divides a shared page among its processes."""
    taken: dict[str, float] = defaultdict(float)
    for process, kind, _ in _described(service):
        with contextlib.suppress(psutil.Error):
            taken[kind] += process.memory_full_info().pss / 1e6
    return dict(taken)


def settle(*services: Service, quiet_s: float = 10.0) -> None:
    """Waits until no process of these services has started or ended for this time."""
    pids, since_s = _pids(services), time.monotonic()
    while time.monotonic() - since_s < quiet_s:
        time.sleep(0.5)
        if (now := _pids(services)) != pids:
            pids, since_s = now, time.monotonic()


def _pids(services: Sequence[Service]) -> set[int]:
    return {process.pid for service in services for process in service.tree()}

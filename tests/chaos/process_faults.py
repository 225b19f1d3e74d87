"""Faults of processes: one is killed or suspended."""

from __future__ import annotations

import contextlib
import signal

import psutil

from tests.chaos.service_under_load import Allowed, Fault, ServiceUnderLoad
from tests.service import eventually

#: Allowed consequences of kill -9, by the process's role. Only without the front end are clicks unanswered. Events are
#: only repeated if a loop's actor died, because it may have sent a POST that was not recorded yet.
KILLED = {
    "front": Allowed(recovery_s=5, unanswered=True),
    "gateway": Allowed(recovery_s=15),
    "ledger": Allowed(recovery_s=5),
    "enricher": Allowed(recovery_s=5),
    "loop": Allowed(recovery_s=5, repeats=True),
    "host": Allowed(recovery_s=5, repeats=True),
    "supervisor": Allowed(recovery_s=5),
    "raylet": Allowed(recovery_s=30, repeats=True),
    "gcs": Allowed(recovery_s=30, repeats=True),
    "serve": Allowed(recovery_s=60, unanswered=True, repeats=True),
    "tree": Allowed(recovery_s=60, unanswered=True, repeats=True),
}
#: Allowed consequences of SIGSTOP. A loop's actor that resumes finds its POSTs timed out, and retries them.
STOPPED = {
    "front": Allowed(recovery_s=10, unanswered=True),
    "gateway": Allowed(recovery_s=10),
    "enricher": Allowed(recovery_s=10),
    "ledger": Allowed(recovery_s=10),
    "loop": Allowed(recovery_s=10, repeats=True),
    "supervisor": Allowed(recovery_s=10),
}


def one_of(load: ServiceUnderLoad, role: str) -> psutil.Process:
    """A random process of the role. A loop gets its own process some time after the start."""
    found: list[psutil.Process] = eventually(lambda: load.service.processes(role), 20, f"a process of role {role} runs")
    return load.rng.choice(found)


class Kill(Fault):
    """kill -9. The test restarts the `serve` process and the whole tree; everything else must restart by itself."""

    def __init__(self, role: str) -> None:
        super().__init__(f"kill {role}", KILLED[role])
        self._role = role

    def begin(self, load: ServiceUnderLoad) -> None:
        if self._role == "tree":
            load.service.kill()
        else:
            with contextlib.suppress(psutil.NoSuchProcess):
                one_of(load, self._role).kill()
        if self._role in {"serve", "tree"}:
            load.service.kill()
            load.service.start(wait=False)


class Stop(Fault):
    """SIGSTOP, and SIGCONT after a while: the process stops responding, but its connections stay open."""

    def __init__(self, role: str, lasts_s: float) -> None:
        super().__init__(f"stop {role}", STOPPED[role])
        self.lasts_s = lasts_s
        self._role = role
        self._stopped: psutil.Process | None = None

    def begin(self, load: ServiceUnderLoad) -> None:
        self._stopped = one_of(load, self._role)
        self._stopped.send_signal(signal.SIGSTOP)

    def end(self, load: ServiceUnderLoad) -> None:
        process, self._stopped = self._stopped, None
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGCONT)

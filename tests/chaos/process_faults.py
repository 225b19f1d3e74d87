"""Processes that die, or stand still."""

from __future__ import annotations

import contextlib
import signal

import psutil

from tests.chaos.service_under_load import Allowed, Fault, ServiceUnderLoad
from tests.service import eventually

#: What may follow kill -9 of one process of a kind. Answers stop only with the front end; an event is repeated only
#: where a loop's actor died, which knew of a POST that was not recorded yet.
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
#: What may follow SIGSTOP. A loop's actor that wakes up finds the time of its POSTs run out, and tries again.
STOPPED = {
    "front": Allowed(recovery_s=10, unanswered=True),
    "gateway": Allowed(recovery_s=10),
    "enricher": Allowed(recovery_s=10),
    "ledger": Allowed(recovery_s=10),
    "loop": Allowed(recovery_s=10, repeats=True),
    "supervisor": Allowed(recovery_s=10),
}


def one_of(load: ServiceUnderLoad, role: str) -> psutil.Process:
    """A process of that kind, picked by the load's dice. A loop gets its own a while after the start."""
    found: list[psutil.Process] = eventually(
        lambda: load.service.processes(role), 20, f"there is a process of kind {role}"
    )
    return load.rng.choice(found)


class Kill(Fault):
    """kill -9. The `serve` process and the whole tree are started again by hand, all else must come back by itself."""

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
    """SIGSTOP, and after a while SIGCONT: nothing dies, and nothing says that it is not there."""

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

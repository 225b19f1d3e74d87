"""Faults of the machine: its store, its disk and its clock."""

from __future__ import annotations

import sqlite3

from tests.chaos.service_under_load import Allowed, Fault, ServiceUnderLoad
from tests.service import eventually

HOUR_S = 3600.0
#: Deliveries that are pending while the clock is stepped.
WAITING = 20


class StoreLocked(Fault):
    """Another program holds the ledger's write lock."""

    def __init__(self, lasts_s: float) -> None:
        super().__init__("store locked", Allowed(recovery_s=12))
        self.lasts_s = lasts_s
        self._other: sqlite3.Connection | None = None

    def begin(self, load: ServiceUnderLoad) -> None:
        self._other = sqlite3.connect(load.service.data_dir / "ledger.sqlite", timeout=10, isolation_level=None)
        self._other.execute("BEGIN IMMEDIATE")

    def end(self, load: ServiceUnderLoad) -> None:
        if self._other is not None:
            self._other.close()
            self._other = None


class DiskFull(Fault):
    """The data directory's file system is full for a while. Hits are answered throughout."""

    def __init__(self, lasts_s: float) -> None:
        super().__init__("disk full", Allowed(recovery_s=12))
        self.lasts_s = lasts_s

    def reason_to_skip(self, load: ServiceUnderLoad) -> str | None:
        return None if load.sandbox.has_own_disk else "a separate file system needs root and mounts"

    def begin(self, load: ServiceUnderLoad) -> None:
        # SQLite would reuse the space of the write-ahead log, which would last for a long time at this rate.
        ledger = sqlite3.connect(load.service.data_dir / "ledger.sqlite", timeout=10, isolation_level=None)
        eventually(lambda: ledger.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0, 10, "the log is empty")
        ledger.close()
        load.sandbox.fill_disk()

    def end(self, load: ServiceUnderLoad) -> None:
        load.sandbox.free_disk()


class StopOnFullDisk(DiskFull):
    """The service is stopped while its disk is full, and started again once there is room. Its reserve suffices."""

    rate = 300.0

    def __init__(self, lasts_s: float) -> None:
        super().__init__(lasts_s)
        self.name = "stop on full disk"
        # No outcome of a POST can be recorded meanwhile.
        self.allowed = Allowed(recovery_s=60, unanswered=True, repeats=True)

    def end(self, load: ServiceUnderLoad) -> None:
        process = load.service.serve_process
        assert process is not None
        try:
            load.service.terminate()
            assert process.returncode == 0, f"the stop ended with exit code {process.returncode}"
        finally:
            load.sandbox.free_disk()
            load.service.start(wait=False)


class ClockStep(Fault):
    """The wall clock is set an hour forward or back permanently, while deliveries wait in the outbox."""

    def __init__(self, name: str, step_s: float) -> None:
        super().__init__(name, Allowed(recovery_s=5))
        self._step_s = step_s

    def begin(self, load: ServiceUnderLoad) -> None:
        load.call("POST", "/pause")
        waiting = {"state": "pending", "limit": WAITING}
        eventually(lambda: len(load.call("GET", "/deliveries", params=waiting)["data"]) == WAITING, 10, "waiting")
        load.sandbox.clock.advance(self._step_s)
        load.call("POST", "/resume")

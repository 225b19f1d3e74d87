"""Wall clock of a service's Python processes, which a test steps (see `tests/chaos/stepped_clock`)."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from tests.paths import ROOT, TESTS

DAY_S: Final = 86_400.0


class SteppedClock:
    """The clock of all processes that start with its environment, in step with the machine's at first."""

    def __init__(self, file: Path) -> None:
        """`file` is created, and must be visible to these processes."""
        self._file = file
        self.step_to(0)

    def environment(self, code: str = str(ROOT)) -> dict[str, str]:
        """Variables for processes that run the program in the directory `code`."""
        path = [str(TESTS / "chaos" / "stepped_clock"), code]
        return {"STEPPED_CLOCK": str(self._file), "PYTHONPATH": os.pathsep.join(path)}

    def step_to(self, seconds: float) -> None:
        """Sets how far the clock is ahead of the machine's."""
        step = round(seconds * 1e9).to_bytes(8, "little", signed=True)
        if self._file.exists():
            with self._file.open("r+b") as file:  # in place: the processes have mapped it
                file.write(step)
        else:
            self._file.write_bytes(step)
        self.step_s = seconds

    def advance(self, seconds: float) -> None:
        """Steps the clock forward; back, if negative."""
        self.step_to(self.step_s + seconds)

    def now_ns(self) -> int:
        """Unix time by this clock."""
        return time.time_ns() + round(self.step_s * 1e9)

"""Fleet of loop hosts: a monitor for each, and their starts and ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from actors.loops.host_monitor import HostLauncher, HostMonitor
from actors.loops.location_registry import LocationLog
from actors.loops.placement import Slot
from actors.metrics import registry
from domain.errors import FeedbackLoopsError

#: Time for the lanes of a host to finish and record deliveries in flight before its process ends.
DRAIN_S: Final = 2.0


class HostFleet:
    """All loop hosts of the cluster, as this supervisor knows them."""

    def __init__(
        self,
        launcher: HostLauncher,
        incarnation: str,
        locations: LocationLog,
        on_change: Callable[[], None],
        starts_failed: registry.Counter,
    ) -> None:
        """Knows no host until `find` is called.

        Args:
            launcher: starts, ends and calls hosts.
            incarnation: the supervisor's.
            locations: gets the loops that hosts report.
            on_change: called when a host has come, gone, or reported its status.
            starts_failed: counts the processes that could not be started.
        """
        self._launcher = launcher
        self._incarnation = incarnation
        self._locations = locations
        self._on_change = on_change
        self._starts_failed = starts_failed
        self._monitors: dict[str, HostMonitor] = {}
        #: Hosts that are being started or ended.
        self._busy: set[str] = set()
        #: Whether it has looked for hosts that others started.
        self._has_looked = False

    def __len__(self) -> int:
        return len(self._monitors)

    @property
    def monitors(self) -> Mapping[str, HostMonitor]:
        """Monitors by the names of their hosts."""
        return self._monitors

    def slots(self) -> list[Slot]:
        return [monitor.slot for monitor in self._monitors.values()]

    @property
    def starting(self) -> int:
        """Number of hosts that have never answered yet."""
        return sum(monitor.is_starting for monitor in self._monitors.values())

    @property
    def shared_up(self) -> int:
        """Number of shared hosts that are up."""
        return sum(monitor.is_up and monitor.slot.is_host for monitor in self._monitors.values())

    @property
    def is_recovering(self) -> bool:
        """Whether there may be a shared host that has not reported yet which loops it holds."""
        if not self._has_looked:
            return True
        return any(monitor.is_unknown and monitor.slot.is_host for monitor in self._monitors.values())

    def is_up(self, name: str) -> bool:
        monitor = self._monitors.get(name)
        return monitor is not None and monitor.is_up

    async def find(self) -> None:
        """Finds hosts that others started, and forgets those that have ended for good."""
        settled = [
            monitor for monitor in self._monitors.values() if not monitor.is_up and monitor.name not in self._busy
        ]
        found = set(await asyncio.to_thread(self._launcher.running))
        for name in found.difference(self._monitors):
            self._watch(name, is_unknown=True)
        self._has_looked = True
        for monitor in settled:
            if monitor.name not in found and not monitor.is_up:
                await self._forget(monitor)

    def prepare_start(self, name: str) -> HostMonitor:
        """Adds a host that `start` is about to start."""
        self._busy.add(name)
        return self._watch(name, is_unknown=False)

    async def start(self, monitor: HostMonitor, node: str) -> None:
        """Starts a prepared host on a node; "": on any."""
        try:
            await self._launcher.start(monitor.name, node)
        except FeedbackLoopsError:
            self._starts_failed.value += 1
            await self._forget(monitor)
            raise
        finally:
            self._busy.discard(monitor.name)

    def prepare_end(self, name: str) -> HostMonitor | None:
        """Reserves a host for `end`; None when there is none with this name, or it is being started or ended."""
        monitor = self._monitors.get(name)
        if monitor is None or name in self._busy:
            return None
        self._busy.add(name)
        return monitor

    async def end(self, monitor: HostMonitor) -> None:
        """Ends a prepared host after it has recorded its finished deliveries."""
        await monitor.stop()
        try:
            await self._launcher.end(monitor.name, DRAIN_S)
        finally:
            await self._forget(monitor)
            self._busy.discard(monitor.name)

    async def end_all(self, drain_s: float) -> None:
        """Ends all hosts concurrently, each within about `drain_s`; ignores failures."""
        monitors = list(self._monitors.values())
        await asyncio.gather(*(monitor.stop() for monitor in monitors), return_exceptions=True)
        ends = (self._launcher.end(monitor.name, drain_s) for monitor in monitors)
        await asyncio.gather(*ends, return_exceptions=True)

    def _watch(self, name: str, *, is_unknown: bool) -> HostMonitor:
        def changed() -> None:
            self._locations.record(monitor.loops, name)
            self._on_change()

        monitor = HostMonitor(name, self._launcher, self._incarnation, changed, is_unknown=is_unknown)
        self._monitors[name] = monitor
        monitor.start()
        return monitor

    async def _forget(self, monitor: HostMonitor) -> None:
        if self._monitors.get(monitor.name) is monitor:
            del self._monitors[monitor.name]
        await monitor.stop()
        self._on_change()

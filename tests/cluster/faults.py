"""Faults of a cluster's machines and of the services on them, with their allowed consequences."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from tests.chaos.service_under_load import Allowed, Fault, ServiceUnderLoad
from tests.cluster.cluster_fixture import Cluster
from tests.cluster.cluster_under_load import ClusterUnderLoad
from tests.cluster.machine import Machine
from tests.service import eventually

#: Ray gives up a silent machine after about 9 seconds; its actors then restart on other machines.
GIVEN_UP_S = 12.0
START_S = 18.0
#: A machine that boots starts Ray and a front end.
BOOT_S = 45.0
#: Maximum delay of a click during an orderly restart, from its answer to its arrival at the handler.
LATE_S = 2.0
#: The same when three machines share two cores with other tests.
TESTED_LATE_S = 8.0


class NodeKilled(Fault):
    """kill -9 of Ray on the worker that has the actor of a role; the service manager restarts it."""

    def __init__(self, cluster: Cluster, role: str) -> None:
        super().__init__(f"{role}'s node", Allowed(recovery_s=GIVEN_UP_S + START_S + BOOT_S, repeats=True))
        self._cluster = cluster
        self._role = role

    def begin(self, load: ServiceUnderLoad) -> None:
        self._cluster.ray.kill_node(self._cluster.machine_of(self._role))


class PowerCut(Fault):
    """A machine loses power, and boots again later."""

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        which: Callable[[], Machine],
        lasts_s: float,
        recovery_s: float = GIVEN_UP_S + START_S + BOOT_S,
    ) -> None:
        # Hits in an edge's journal wait until its machine has booted.
        super().__init__(name, Allowed(recovery_s=recovery_s, unanswered=True, repeats=True))
        self.lasts_s = lasts_s
        self._cluster = cluster
        self._which = which
        self._machine: Machine | None = None

    def begin(self, load: ServiceUnderLoad) -> None:
        self._machine = self._which()
        self._machine.cut_power()

    def end(self, load: ServiceUnderLoad) -> None:
        if self._machine is not None:
            self._cluster.boot(self._machine)
            self._machine = None


class CutOff(Fault):
    """An edge is disconnected from the cluster's network, and reconnected. It answers clicks throughout."""

    def __init__(self, cluster: Cluster, machine: Machine, lasts_s: float) -> None:
        super().__init__(f"edge cut off {lasts_s:.0f} s", Allowed(recovery_s=BOOT_S + START_S, repeats=True))
        self.lasts_s = lasts_s
        self._cluster = cluster
        self._machine = machine

    def begin(self, load: ServiceUnderLoad) -> None:
        self._machine.cut_off()

    def end(self, load: ServiceUnderLoad) -> None:
        self._machine.rejoin()


class HeadKilled(Fault):
    """kill -9 of Ray on the head; the service manager restarts it."""

    def __init__(self, cluster: Cluster, name: str, recovery_s: float) -> None:
        super().__init__(name, Allowed(recovery_s=recovery_s, repeats=True))
        self._cluster = cluster

    def begin(self, load: ServiceUnderLoad) -> None:
        self._cluster.ray.kill_node(self._cluster.head)


class NodeLeaves(Fault):
    """A worker is taken out of rotation, and its Ray is stopped and restarted, as for a new version.

    The worker with the ledger, unless the head has it.
    """

    def __init__(self, cluster: Cluster, lasts_s: float) -> None:
        super().__init__("node leaves", Allowed(recovery_s=START_S, repeats=True))
        self.lasts_s = lasts_s
        self._cluster = cluster
        self._stack = contextlib.ExitStack()

    def begin(self, load: ServiceUnderLoad) -> None:
        assert isinstance(load, ClusterUnderLoad)
        machine = self._cluster.machine_of("ledger")
        if machine is self._cluster.head:  # the head cannot leave; `HeadKilled` tests its loss
            machine = self._cluster.workers[0]
        self._stack.enter_context(load.out_of_rotation(machine.outside))
        self._stack.callback(self._cluster.ray.start, machine)
        self._cluster.ray.stop_node(machine)

    def end(self, load: ServiceUnderLoad) -> None:
        self._stack.close()


class StoreDown(Fault):
    """The store's server is stopped, and restarted later."""

    def __init__(self, cluster: Cluster, lasts_s: float) -> None:
        super().__init__(f"store down {lasts_s:.0f} s", Allowed(recovery_s=30))
        self.lasts_s = lasts_s
        self._cluster = cluster

    def begin(self, load: ServiceUnderLoad) -> None:
        self._cluster.postgres.stop()

    def end(self, load: ServiceUnderLoad) -> None:
        self._cluster.postgres.start()


class RollingRestart(Fault):
    """Each front end in turn is taken out of rotation, stopped, and restarted with a changed setting.

    The first one renews the actors. Every click must be answered, and none may take longer than `late_s`.
    """

    def __init__(self, cluster: Cluster, late_s: float = LATE_S) -> None:
        super().__init__("rolling restart", Allowed(recovery_s=late_s, repeats=True, delay_s=late_s))
        self._cluster = cluster

    def begin(self, load: ServiceUnderLoad) -> None:
        assert isinstance(load, ClusterUnderLoad)
        for edge in self._cluster.edges:
            timeout_s = int(edge.environment["FEEDBACK_LOOPS_DELIVERY_TIMEOUT"])
            edge.environment["FEEDBACK_LOOPS_DELIVERY_TIMEOUT"] = str(5 - timeout_s)
            with load.out_of_rotation(edge.host):
                edge.terminate()
                edge.start()
        eventually(self._is_renewed, 60, "every actor runs with the new setting")

    def _is_renewed(self) -> bool:
        return " action=renewed" in self._cluster.edges[0].recent_log()

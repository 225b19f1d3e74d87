"""Cluster of three machines with a handler and a store: the head, and two workers that are edge nodes too."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.cluster.edge_node import EdgeNode
from tests.cluster.machine import CODE, Machine
from tests.cluster.network import OWN_NUMBER, Network
from tests.cluster.ray_on_machines import PATIENCE, RayOnMachines
from tests.cluster.stores import RedisServer, postgres_at
from tests.paths import ROOT
from tests.ports import free_port
from tests.postgres import PostgresServer
from tests.service import ROLES, Sink, eventually
from tests.stepped_clock import SteppedClock

#: Processes for loops: three shared hosts, one per machine, and three for single loops.
BUDGET = 6
SETTINGS = {
    "FEEDBACK_LOOPS_ACTOR_BUDGET": str(BUDGET),
    "FEEDBACK_LOOPS_ALLOWED_HANDLER_NETWORKS": "198.18.0.0/15",
    "FEEDBACK_LOOPS_DELIVERY_TIMEOUT": "2",
    "FEEDBACK_LOOPS_RETRY_SCHEDULE": ",".join(["0.3", "0.7", *["1.5"] * 90]),
}


class Cluster:
    """The machines and their programs. Created by `running_cluster`."""

    def __init__(self, folder: Path, network: Network, postgres: PostgresServer, redis: str | None, code: Path) -> None:
        #: For files of tests; deleted with the cluster.
        self.folder = folder
        self.network = network
        self.postgres = postgres
        #: Of the Python processes on all machines.
        self.clock = SteppedClock(folder / "clock")
        self.machines = [Machine(number, network, folder) for number in (1, 2, 3)]
        for machine in self.machines:
            machine.install(code)
        self.head, *self.workers = self.machines
        clock = self.clock.environment(CODE)
        self.ray = RayOnMachines(self.machines, folder, clock, redis)
        self.sink = Sink(network.inside(OWN_NUMBER))
        store = postgres.new_database().replace("127.0.0.1", network.inside(OWN_NUMBER))
        settings = SETTINGS | {"FEEDBACK_LOOPS_MASTER_KEY": secrets.token_hex(32), "FEEDBACK_LOOPS_STORE": store}
        ray = {"FEEDBACK_LOOPS_RAY_ADDRESS": self.ray.address, **self.ray.credentials, **PATIENCE}
        environment = settings | ray | clock
        self.edges = [EdgeNode(machine, machine.folder / "data", **environment) for machine in self.workers]
        #: Hosts of the front ends that get clicks, as in the configuration of a load balancer.
        self.in_rotation = [edge.host for edge in self.edges]

    def start(self) -> None:
        """Starts everything, and waits until every front end is ready."""
        self.sink.start()
        for machine in self.machines:
            self.boot(machine)
        for machine in self.machines:
            self.ray.wait_for(machine)
        self.wait_ready()

    def boot(self, machine: Machine) -> None:
        """Boots a machine, which then starts its programs by itself."""
        machine.boot()
        self.ray.start(machine)
        for edge in self.edges:
            if edge.machine is machine:
                edge.start(wait=False)

    def another_edge(self, folder: Path, **environment: str) -> EdgeNode:
        """A second front end on a worker, not started, with a changed environment."""
        return EdgeNode(self.workers[0], folder / "data", free_port(), **self.edges[0].environment | environment)

    def wait_ready(self, timeout_s: float = 90) -> None:
        for edge in self.edges:
            edge.wait_ready(timeout_s)

    def machine_of(self, role: str) -> Machine:
        """The machine that runs the actor of a role."""

        def found() -> Machine | None:
            return next((machine for machine in self.machines if self._actors(machine, role)), None)

        machine: Machine = eventually(found, 60, f"the {role} runs")
        return machine

    def _actors(self, machine: Machine, role: str) -> list[psutil.Process]:
        return machine.processes(ROLES[role]) if machine.is_on else []

    def end(self) -> None:
        """Ends all processes of the cluster."""
        for machine in self.machines:
            machine.cut_power()
        for edge in self.edges:
            edge.end()
        self.sink.stop()

    def logs(self) -> str:
        """The end of each log, for a failed test."""
        files = [edge.log for edge in self.edges] + [self.ray.log(machine) for machine in self.machines]
        return "\n".join(f"--- {file}\n{file.read_text(errors='replace')[-4000:]}" for file in files if file.exists())


@contextlib.contextmanager
def running_cluster(folder: Path, *, with_redis: bool = False, code: Path = ROOT) -> Iterator[Cluster]:
    """A ready cluster; its processes, networks and file systems are removed afterwards."""
    with contextlib.ExitStack() as stack:
        network = Network()
        stack.callback(network.remove)
        postgres = stack.enter_context(postgres_at(network.inside(OWN_NUMBER)))
        redis = stack.enter_context(RedisServer(network.inside(OWN_NUMBER), folder)).address if with_redis else None
        made = Cluster(folder, network, postgres, redis, code)
        stack.callback(made.end)
        made.start()
        yield made

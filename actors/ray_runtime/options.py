"""Ray options of every actor, with the reason for each value."""

from __future__ import annotations

from typing import Final, TypedDict

from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.actor_names import LEDGER, SUPERVISOR

#: All actors of an installation are in this namespace; a Ray cluster runs one installation.
NAMESPACE: Final = "feedback-loops"


class ActorOptions(TypedDict, total=False):
    """Arguments of Ray's `options`."""

    namespace: str
    name: str
    lifetime: str
    get_if_exists: bool
    max_restarts: int
    max_task_retries: int
    max_concurrency: int
    num_cpus: int
    memory: int
    resources: dict[str, float]
    scheduling_strategy: NodeAffinitySchedulingStrategy | str


_COMMON: Final[ActorOptions] = {
    "namespace": NAMESPACE,
    # Detached, named and created if absent: a restarted gateway finds the actors that it left.
    "lifetime": "detached",
    "get_if_exists": True,
    # Ray runs the constructor again after any death, and the actor rebuilds itself from the ledger.
    "max_restarts": -1,
    # A call may have run when its actor died. Callers decide whether to repeat it; every write is idempotent.
    "max_task_retries": 0,
    # Actors mostly wait. If each took a core, Ray would refuse the third on two cores.
    "num_cpus": 0,
}


def ledger(at: str | None = None) -> ActorOptions:
    """The only writer. `at`: the address of the only node where it may run."""
    options: ActorOptions = {**_COMMON, "name": LEDGER, "max_concurrency": 4096}
    if at is not None:
        options["resources"] = {f"node:{at}": 0.001}  # a resource that Ray gives to each node
    return options


def supervisor() -> ActorOptions:
    return {**_COMMON, "name": SUPERVISOR, "max_concurrency": 1000}


def enricher(name: str) -> ActorOptions:
    return {**_COMMON, "name": name, "max_concurrency": 256}


def loop_host(name: str, node: str) -> ActorOptions:
    """A process for one loop or many, preferably on the node; "": on whichever has few."""
    # Soft: when the node is lost, Ray restarts the process on another.
    strategy = NodeAffinitySchedulingStrategy(node, soft=True) if node else "SPREAD"
    return {**_COMMON, "name": name, "max_concurrency": 4096, "scheduling_strategy": strategy}


#: For an actor that should run on its creator's node. Ray only honours locality for actors that request a resource, so
#: this requests one byte.
NEAR: Final[ActorOptions] = {"memory": 1}

"""Names and Ray options of every actor, a reason per value."""

from __future__ import annotations

from typing import Any, Final

from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

#: All actors of an installation live here; one installation per Ray cluster.
NAMESPACE: Final = "feedback-loops"
LEDGER: Final = "ledger"
SUPERVISOR: Final = "supervisor"
LOOP_PREFIX: Final = "feedback-loop/"
HOST_PREFIX: Final = "loop-host/"


def enricher_name(number: int) -> str:
    """Name of the enrichment actor `number`, from 0."""
    return f"enricher/{number}"


def loop_name(loop_id: str) -> str:
    """Name of a feedback loop's own actor."""
    return f"{LOOP_PREFIX}{loop_id}"


def host_name(number: int) -> str:
    """Name of the actor `number`, from 0, that many loops share."""
    return f"{HOST_PREFIX}{number}"


def words_for(name: str) -> str:
    """An actor as people know it, who need not know that there are actors."""
    kind, _, which = name.partition("/")
    if kind == "feedback-loop":
        return f"feedback loop {which}"
    return f"the {kind}" if not which else f"{kind} {which}"


_COMMON: Final[dict[str, Any]] = {
    "namespace": NAMESPACE,
    # Detached, named and created if absent: a gateway that is restarted finds the actors where they were.
    "lifetime": "detached",
    "get_if_exists": True,
    # Ray runs the constructor again after any death; each rebuilds itself from the ledger. Nobody else restarts them.
    "max_restarts": -1,
    # A call may have run when its actor died; callers decide, every write is idempotent.
    "max_task_retries": 0,
    # They wait far more than they compute, and Ray would refuse the third on two cores.
    "num_cpus": 0,
}


def ledger(at: str | None = None) -> dict[str, Any]:
    """The one writer. `at`: the address of the only node where it may be."""
    where = {} if at is None else {"resources": {f"node:{at}": 0.001}}  # which each node of Ray's has for itself
    return _COMMON | {"name": LEDGER, "max_concurrency": 4096} | where


def supervisor() -> dict[str, Any]:
    return _COMMON | {"name": SUPERVISOR, "max_concurrency": 1000}


def enricher(number: int) -> dict[str, Any]:
    return _COMMON | {"name": enricher_name(number), "max_concurrency": 256}


def place(name: str, node: str) -> dict[str, Any]:
    """A process for one loop or for many, on a node if that can be, or wherever there are few."""
    # Soft: when the node is lost Ray starts it anew on another.
    strategy = NodeAffinitySchedulingStrategy(node, soft=True) if node else "SPREAD"
    return _COMMON | {"name": name, "max_concurrency": 4096, "scheduling_strategy": strategy}


#: Of an actor that should be on the node of who starts it, if that can be. Ray looks there first for one that needs
#: anything at all, if only a byte; for one that needs nothing it takes any node, whatever that one would rather have.
NEAR: Final[dict[str, Any]] = {"memory": 1}

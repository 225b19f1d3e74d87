"""Processes made ready ahead: an actor starts in one of them in a fraction of the time that a new one takes."""

from __future__ import annotations

from typing import Any, Final

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from domain.errors import Unavailable

#: What it may take, at most; without it all works, and slower.
WARM_S: Final = 10.0


@ray.remote(num_cpus=0, max_retries=0)
def _warm() -> None:
    """Has the process import what actors need. Ray keeps the process, and gives it to the next actor."""
    import actors.remote  # noqa: F401, PLC0415 - the import is the work; it would go round in a circle above


def warm_up() -> None:
    """Makes a process ready on each node, for the next actor that the caller starts; Ray gives it to no other's.

    It blocks. Ray ends what is not used within seconds.

    Raises:
        Unavailable: Ray does not answer.
    """
    try:
        nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        there: list[Any] = [NodeAffinitySchedulingStrategy(node, soft=True) for node in nodes]
        tasks = [_warm.options(scheduling_strategy=node).remote() for node in there]
        ray.wait(tasks, num_returns=len(tasks), timeout=WARM_S)
    except RayError as exc:
        raise Unavailable("Ray does not answer") from exc

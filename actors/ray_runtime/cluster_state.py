"""State of the Ray cluster: its actors and nodes. Each call asks Ray, and blocks until it answers."""

from __future__ import annotations

import ray
from ray.exceptions import RayError
from ray.util import list_named_actors

from actors.commands.service import ClusterNode
from actors.ray_runtime import options
from domain.errors import Unavailable


def actor_names() -> list[str]:
    """Names of all actors of this installation that are running or being restarted.

    Raises:
        Unavailable: Ray does not answer.
    """
    try:
        found = list_named_actors(all_namespaces=True)
    except RayError as exc:
        raise Unavailable(f"Ray does not list its actors: {exc}") from exc
    return [entry["name"] for entry in found if entry["namespace"] == options.NAMESPACE]


def nodes() -> list[ClusterNode]:
    """Every node that Ray knows, dead ones included.

    Raises:
        Unavailable: Ray does not answer.
    """
    try:
        found = ray.nodes()  # type: ignore[no-untyped-call]
    except RayError as exc:
        raise Unavailable(f"Ray does not list its nodes: {exc}") from exc
    return [
        ClusterNode(
            id=node["NodeID"],
            is_alive=bool(node["Alive"]),
            cpus=int(node["Resources"].get("CPU", 0)),
            memory_bytes=int(node["Resources"].get("memory", 0)),
        )
        for node in found
    ]

"""Cluster inventory: builds the list of nodes and actor processes that operators see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from actors.commands.service import ActorProcess, ClusterInventory, ClusterNode
from actors.metrics import catalogue as m
from actors.metrics.snapshots import ProcessSnapshot

#: Nodes and processes that an inventory lists.
MAX_LISTED: Final = 200


def build_inventory(
    expected: Sequence[str],
    processes: Mapping[str, ProcessSnapshot],
    nodes: Sequence[ClusterNode],
    loops: Mapping[str, int],
) -> ClusterInventory:
    """The inventory of one collection.

    Args:
        expected: The names of all actors.
        processes: The snapshots of the actors that answered, by name.
        nodes: Ray's nodes.
        loops: The number of loops that each actor holds, by name.
    """
    order = {kind: n for n, kind in enumerate(m.ACTORS)}
    # Within a kind, actors that do not answer come first. Sorting by length first keeps numbered names in order.
    names = sorted(expected, key=lambda name: (order[kind_of(name)], name in processes, len(name), name))
    listed = [_process(name, processes.get(name), loops.get(name, 0)) for name in names[:MAX_LISTED]]
    alive_first = sorted(nodes, key=lambda node: (not node.is_alive, node.id))
    return ClusterInventory(nodes=alive_first[:MAX_LISTED], processes=listed, process_count=len(names))


def _process(name: str, process: ProcessSnapshot | None, loops: int) -> ActorProcess:
    kind = kind_of(name)
    shown = kind if kind == m.FEEDBACK_LOOP else name
    if process is None:
        return ActorProcess(name=shown, is_answering=False, node="", started_ms=None, memory_bytes=None, loops=loops)
    memory = next((value for what, _, value in process.snapshot.numbers if what == m.MEMORY.short_name), None)
    return ActorProcess(
        name=shown,
        is_answering=True,
        node=process.node,
        started_ms=process.started_ms,
        memory_bytes=None if memory is None else int(memory),
        loops=loops,
    )


def kind_of(name: str) -> str:
    """The kind of process behind an actor's name."""
    return name.partition("/")[0]

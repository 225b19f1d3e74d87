"""Who is there: Ray's nodes, and the actors on them, for operators to look at. Nothing of it is any one account's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from actors.compatibility import Crossing
from actors.metrics import catalogue as m
from actors.metrics.snapshots import ProcessReadings


class Node(Crossing, frozen=True, kw_only=True):
    """A machine, as Ray knows it. Of one that has gone Ray says no more what it had."""

    id: str
    is_alive: bool
    cpus: int
    #: What Ray may give to actors.
    memory_bytes: int


class Process(Crossing, frozen=True, kw_only=True):
    """The process of an actor."""

    #: As Ray has it; of a loop's own process its kind alone, for the rest is the id of an account's loop.
    name: str
    #: Whether it told of itself in time; if not, what follows is not known but for the loops.
    is_answering: bool
    node: str
    #: Unix time, milliseconds.
    started_ms: int | None
    memory_bytes: int | None
    #: Loops that it holds, as the supervisor told it.
    loops: int


class Census(Crossing, frozen=True, kw_only=True):
    """All of them. `of_processes` counts those that are there, of which `processes` has the first."""

    nodes: list[Node]
    processes: list[Process]
    of_processes: int


#: More than these nobody looks through.
MAX_LISTED: Final = 200


def taken(
    expected: Sequence[str], told: Mapping[str, ProcessReadings], nodes: Sequence[Node], loops: Mapping[str, int]
) -> Census:
    """`expected`: the names of all actors; `told`: what those told that answered; `loops`: how many each name holds."""
    order = {kind: n for n, kind in enumerate(m.ACTORS)}
    # Those that do not answer come first among their like; numbers in names are in their order.
    names = sorted(expected, key=lambda name: (order[_kind(name)], name in told, len(name), name))
    found = [_process(name, told.get(name), loops.get(name, 0)) for name in names[:MAX_LISTED]]
    alive_first = sorted(nodes, key=lambda node: (not node.is_alive, node.id))
    return Census(nodes=alive_first[:MAX_LISTED], processes=found, of_processes=len(names))


def _process(name: str, readings: ProcessReadings | None, loops: int) -> Process:
    kind = _kind(name)
    shown = kind if kind == m.FEEDBACK_LOOP else name
    if readings is None:
        return Process(name=shown, is_answering=False, node="", started_ms=None, memory_bytes=None, loops=loops)
    memory = next((value for what, _, value in readings.readings.numbers if what == m.MEMORY.short_name), None)
    return Process(
        name=shown,
        is_answering=True,
        node=readings.node,
        started_ms=readings.started_ms,
        memory_bytes=None if memory is None else int(memory),
        loops=loops,
    )


def _kind(name: str) -> str:
    return name.partition("/")[0]

"""Placement of loops on processes: a pure function from the current state to the next steps.

The oldest loops get an actor of their own while the budget lasts; all others share hosts. A new loop starts on a host,
which is already running, and moves when its own actor is up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Final, NamedTuple

from actors.actor_names import HOST_PREFIX, host_name, loop_name

#: Memory of an actor with some of its loops at work.
ACTOR_BYTES: Final = 75_000_000
#: Share of a node's memory (as Ray counts it) for the actors of loops.
MEMORY_SHARE: Final = 0.5
#: A start costs a core about a second, and each process costs heartbeats; memory would allow hundreds.
ACTORS_PER_CPU: Final = 12
#: Hosts are not rebalanced while their loads are within this share of the mean.
TOLERANCE: Final = 0.1
#: Most loops that move between hosts in one round.
MOVES_AT_ONCE: Final = 200
#: Most loops that are assigned in one round, so that a host that comes up a little later still gets its share.
ASSIGNED_AT_ONCE: Final = 1000


class NodeCapacity(NamedTuple):
    """A machine of the cluster."""

    id: str
    cpus: int
    memory_bytes: float


#: Leaves the choice to Ray.
ANY_NODE: Final = NodeCapacity("", 1, 0)


class Slot(NamedTuple):
    """A process that holds loops, or will hold some."""

    name: str
    #: Whether it answers, so that loops can be assigned to it and released from it.
    is_up: bool
    loops: Collection[str]
    node: str = ""

    @property
    def is_host(self) -> bool:
        return self.name.startswith(HOST_PREFIX)


class Move(NamedTuple):
    """Loops to move from one slot to another."""

    from_name: str
    to_name: str
    loops: list[str]


class Plan(NamedTuple):
    """The steps to take now; steps that depend on them come with the next plan."""

    #: Slots to start, the most urgent first, each with the node that it should run on ("": any).
    start: list[tuple[str, str]]
    #: Some of the loops that no slot holds, by the slot that should hold them.
    assign: dict[str, list[str]]
    move: list[Move]
    #: Loops that a slot should not hold: deleted ones, and those that another slot holds too.
    release: dict[str, list[str]]
    #: Slots that are empty and not needed.
    end: list[str]


def budget_of(nodes: Iterable[NodeCapacity]) -> int:
    """Number of loop processes that these nodes can run, at least one."""
    return max(sum(_capacity(node) for node in nodes), 1)


def _capacity(node: NodeCapacity) -> int:
    return max(min(int(node.memory_bytes * MEMORY_SHARE / ACTOR_BYTES), ACTORS_PER_CPU * node.cpus), 0)


def hosts_wanted(loops: int, budget: int, nodes: Iterable[NodeCapacity]) -> int:
    """One, for new loops; one per core, up to half the budget, when most loops share hosts."""
    if loops < budget:
        return 1
    return max(min(sum(node.cpus for node in nodes), budget // 2), 1)


def least_loaded(slots: Iterable[Slot]) -> str | None:
    """The host that should get the next loop, if one is up."""
    hosts = [slot for slot in slots if slot.is_host and slot.is_up]
    return min(hosts, key=lambda host: (len(host.loops), host.name)).name if hosts else None


def decide(
    loops: Sequence[str], slots: Sequence[Slot], nodes: Sequence[NodeCapacity], budget: int, busy: Collection[str] = ()
) -> Plan:
    """The next steps towards the right slots for `loops` (oldest first), with few moves.

    Loops in `busy` are skipped, because they are moving already. A slot that is not up keeps its loops until it
    answers again.
    """
    return _Decision(loops, slots, nodes, budget, busy).plan()


class _Decision:
    def __init__(
        self,
        loops: Sequence[str],
        slots: Sequence[Slot],
        nodes: Sequence[NodeCapacity],
        budget: int,
        busy: Collection[str],
    ) -> None:
        self._loops = dict.fromkeys(loops)
        self._slots = {slot.name: slot for slot in slots}
        self._nodes = nodes
        self._budget = budget
        self._busy = frozenset(busy)
        self._hosts = self._wanted_hosts(hosts_wanted(len(loops), budget, nodes))
        self._own = self._wanted_own(budget - len(self._hosts))
        self._ready = {host.name: host for host in self._hosts if host.is_up}
        self._loads = {name: len(host.loops) for name, host in self._ready.items()}
        self._moves: dict[tuple[str, str], list[str]] = {}

    def plan(self) -> Plan:
        kept, release = self._keep_once()
        assign: dict[str, list[str]] = {}
        waiting = (loop_id for loop_id in self._loops if loop_id not in kept and loop_id not in self._busy)
        for loop_id in islice(waiting, ASSIGNED_AT_ONCE):
            if to_name := self._target(loop_id):
                assign.setdefault(to_name, []).append(loop_id)
        for loop_id, name in kept.items():
            self._correct(loop_id, self._slots[name])
        self._balance()
        moves = [Move(*way, on_way) for way, on_way in self._moves.items()]
        return Plan(self._start(), assign, moves, release, self._end())

    # --- the slots that should exist

    def _wanted_hosts(self, count: int) -> list[Slot]:
        """The hosts to keep (those that are up and hold most), and new ones to start if these are too few."""
        hosts = sorted(
            (slot for slot in self._slots.values() if slot.is_host),
            key=lambda host: (not host.is_up, -len(host.loops), host.name),
        )[:count]
        numbers = (n for n in range(count + len(self._slots)) if host_name(n) not in self._slots)
        return hosts + [Slot(host_name(next(numbers)), is_up=False, loops=()) for _ in range(count - len(hosts))]

    def _wanted_own(self, count: int) -> set[str]:
        """The loops that have or should get an actor of their own."""
        running = [loop_id for loop_id in self._loops if loop_name(loop_id) in self._slots]
        own = dict.fromkeys(running[: max(count, 0)])
        for loop_id in self._loops:
            if len(own) >= count:
                break
            own.setdefault(loop_id)
        return set(own)

    def _start(self) -> list[tuple[str, str]]:
        new_hosts = self._with_nodes([host.name for host in self._hosts if host.name not in self._slots])
        # The first host starts before any loop's own actor, whatever the budget: until it is up no loop is served.
        own = [loop_name(loop_id) for loop_id in self._loops if loop_id in self._own] if self._ready else []
        new_own = [(name, "") for name in own if name not in self._slots]
        room = self._budget - len(self._slots)
        return [*new_hosts, *new_own][: max(room, 0 if self._slots else 1)]

    def _with_nodes(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """New hosts, each with the node that has the fewest hosts for its size; nodes without cores get none."""
        nodes = [node for node in self._nodes if node.cpus]
        count = {node.id: 0 for node in self._nodes} | {"": 0}
        for slot in self._slots.values():
            if slot.is_host and slot.node in count:
                count[slot.node] += 1
        placed = []
        for name in names:
            node = min(nodes, key=lambda n: (count[n.id] / n.cpus, n.id), default=ANY_NODE)
            count[node.id] += 1
            placed.append((name, node.id))
        return placed

    def _end(self) -> list[str]:
        wanted = {host.name for host in self._hosts} | {loop_name(loop_id) for loop_id in self._own}
        return [s.name for s in self._slots.values() if s.is_up and not s.loops and s.name not in wanted]

    # --- the loops in each slot

    def _keep_once(self) -> tuple[dict[str, str], dict[str, list[str]]]:
        """The slot that keeps each loop, and the loops that slots should release."""
        kept: dict[str, str] = {}
        release: dict[str, list[str]] = {}
        # A slot that is not up cannot release anything, so it comes first and keeps its loops.
        for slot in sorted(self._slots.values(), key=lambda s: (s.is_up, s.is_host, s.name)):
            for loop_id in slot.loops:
                if loop_id in self._loops and loop_id not in kept:
                    kept[loop_id] = slot.name
                elif slot.is_up and loop_id not in self._busy:
                    release.setdefault(slot.name, []).append(loop_id)
        return kept, release

    def _target(self, loop_id: str) -> str | None:
        own = self._slots.get(loop_name(loop_id))
        return own.name if own is not None and own.is_up and loop_id in self._own else self._take_room()

    def _take_room(self) -> str | None:
        """The least loaded host, whose load it increases by one."""
        if not self._loads:
            return None
        name = min(self._loads, key=lambda host: (self._loads[host], host))
        self._loads[name] += 1
        return name

    def _correct(self, loop_id: str, slot: Slot) -> None:
        """Plans a move for a loop that is in the wrong kind of slot."""
        if not slot.is_up or loop_id in self._busy:
            return
        own = self._slots.get(loop_name(loop_id))
        is_own = loop_id in self._own and own is not None and own.is_up
        if is_own and slot.is_host:
            self._move(loop_id, slot.name, loop_name(loop_id))
        elif slot.name not in self._ready and not (is_own and slot is own) and (to_name := self._take_room()):
            self._move(loop_id, slot.name, to_name)

    def _move(self, loop_id: str, from_name: str, to_name: str) -> None:
        if from_name in self._loads:
            self._loads[from_name] -= 1
        self._moves.setdefault((from_name, to_name), []).append(loop_id)

    def _balance(self) -> None:
        """Plans as few moves as possible from hosts with too many loops to hosts with too few."""
        loads = self._loads
        mean = sum(loads.values()) / max(len(loads), 1)
        spare = max(mean * TOLERANCE, 1)
        if all(mean - spare <= load <= mean + spare for load in loads.values()):
            return
        moving = self._busy.union(*self._moves.values())
        movable = {name: [loop for loop in host.loops if loop not in moving] for name, host in self._ready.items()}
        for _ in range(MOVES_AT_ONCE):
            low, high = (
                min(loads, key=lambda name: (loads[name], name)),
                max(loads, key=lambda name: (loads[name], name)),
            )
            if loads[high] - loads[low] <= 1 or not movable[high]:
                return
            self._move(movable[high].pop(), high, low)
            loads[low] += 1

"""Where each loop is to live: decided from what there is, and nothing else.

A loop has a process of its own while the budget lasts, first come first served; all others share hosts. A new loop goes
to a host, which runs already, and moves when its own process is up.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from itertools import islice
from typing import Final, NamedTuple

from actors.ray_runtime.options import HOST_PREFIX, LOOP_PREFIX, host_name, loop_name

#: What an actor takes, with some of its loops' work.
ACTOR_BYTES: Final = 75_000_000
#: Of the memory that Ray reckons with on a node, what loops' actors may take.
MEMORY_SHARE: Final = 0.5
#: Each start costs a core about a second, and each process its heartbeat: memory alone would allow hundreds.
ACTORS_PER_CPU: Final = 12
#: Hosts whose loads differ by no more than this part of the mean are let be.
TOLERANCE: Final = 0.1
#: Loops that move between hosts in one round.
MOVES_AT_ONCE: Final = 200
#: Loops that are given to hosts in one round: a host that is up a moment after another finds its share still there.
GIVEN_AT_ONCE: Final = 1000


class Node(NamedTuple):
    """A machine of the cluster."""

    id: str
    cpus: int
    memory_bytes: float


#: Ray's choice.
NOWHERE: Final = Node("", 1, 0)


class Place(NamedTuple):
    """A process that holds loops, or will."""

    name: str
    #: Whether it answers, so that loops can be given to it and taken from it.
    is_up: bool
    loops: Collection[str]
    node: str = ""

    @property
    def is_host(self) -> bool:
        return self.name.startswith(HOST_PREFIX)


class Move(NamedTuple):
    """Loops that are to go from one place to another."""

    from_name: str
    to_name: str
    loops: list[str]


class Plan(NamedTuple):
    """What is to be done now; what depends on that comes with the next plan."""

    #: Places to start, the most urgent first, each with the node it should be on ("": any).
    start: list[tuple[str, str]]
    #: Some of the loops that no place holds, by the place that is to take them.
    give: dict[str, list[str]]
    move: list[Move]
    #: Loops that a place should not hold: deleted ones, and those that another holds too.
    drop: dict[str, list[str]]
    #: Places that hold nothing and are not wanted.
    end: list[str]


def budget_of(nodes: Iterable[Node]) -> int:
    """How many processes of loops these nodes carry, at least one."""
    return max(sum(_carries(node) for node in nodes), 1)


def _carries(node: Node) -> int:
    return max(min(int(node.memory_bytes * MEMORY_SHARE / ACTOR_BYTES), ACTORS_PER_CPU * node.cpus), 0)


def hosts_wanted(loops: int, budget: int, nodes: Iterable[Node]) -> int:
    """One, so that a new loop has somewhere to go; one for each core (but half the budget) when most loops share."""
    if loops < budget:
        return 1
    return max(min(sum(node.cpus for node in nodes), budget // 2), 1)


def least_loaded(places: Iterable[Place]) -> str | None:
    """The host for one loop more, if one is up."""
    hosts = [place for place in places if place.is_host and place.is_up]
    return min(hosts, key=lambda host: (len(host.loops), host.name)).name if hosts else None


def decide(
    loops: Sequence[str], places: Sequence[Place], nodes: Sequence[Node], budget: int, busy: Collection[str] = ()
) -> Plan:
    """What brings `places` nearer to where `loops` (oldest first) should be, with few moves.

    Nothing is done about loops that are `busy`: they are on their way already. What a place that is not up holds stays
    its own, until it answers.
    """
    return _Decision(loops, places, nodes, budget, busy).plan()


class _Decision:
    def __init__(
        self, loops: Sequence[str], places: Sequence[Place], nodes: Sequence[Node], budget: int, busy: Collection[str]
    ) -> None:
        self._loops = dict.fromkeys(loops)
        self._places = {place.name: place for place in places}
        self._nodes = nodes
        self._budget = budget
        self._busy = frozenset(busy)
        self._hosts = self._wanted_hosts(hosts_wanted(len(loops), budget, nodes))
        self._own = self._wanted_own(budget - len(self._hosts))
        self._ready = {host.name: host for host in self._hosts if host.is_up}
        self._loads = {name: len(host.loops) for name, host in self._ready.items()}
        self._moves: dict[tuple[str, str], list[str]] = {}

    def plan(self) -> Plan:
        kept, drop = self._keep_once()
        give: dict[str, list[str]] = {}
        waiting = (loop_id for loop_id in self._loops if loop_id not in kept and loop_id not in self._busy)
        for loop_id in islice(waiting, GIVEN_AT_ONCE):
            if to_name := self._target(loop_id):
                give.setdefault(to_name, []).append(loop_id)
        for loop_id, name in kept.items():
            self._mend(loop_id, self._places[name])
        self._balance()
        moves = [Move(*way, on_way) for way, on_way in self._moves.items()]
        return Plan(self._start(), give, moves, drop, self._end())

    # --- which places there should be

    def _wanted_hosts(self, count: int) -> list[Place]:
        """Those of the hosts that stay: the ones that are up and hold most; and, to be started, new ones."""
        hosts = sorted(
            (place for place in self._places.values() if place.is_host),
            key=lambda host: (not host.is_up, -len(host.loops), host.name),
        )[:count]
        numbers = (n for n in range(count + len(self._places)) if host_name(n) not in self._places)
        return hosts + [Place(host_name(next(numbers)), is_up=False, loops=()) for _ in range(count - len(hosts))]

    def _wanted_own(self, slots: int) -> set[str]:
        """The loops that have a process of their own, or should."""
        running = [loop_id for loop_id in self._loops if loop_name(loop_id) in self._places]
        own = dict.fromkeys(running[: max(slots, 0)])
        for loop_id in self._loops:
            if len(own) >= slots:
                break
            own.setdefault(loop_id)
        return set(own)

    def _start(self) -> list[tuple[str, str]]:
        new_hosts = self._with_nodes([host.name for host in self._hosts if host.name not in self._places])
        # No loop is served before a host is: it goes first, and whatever the budget says.
        own = [loop_name(loop_id) for loop_id in self._loops if loop_id in self._own] if self._ready else []
        new_own = [(name, "") for name in own if name not in self._places]
        room = self._budget - len(self._places)
        return [*new_hosts, *new_own][: max(room, 0 if self._places else 1)]

    def _with_nodes(self, names: Iterable[str]) -> list[tuple[str, str]]:
        """New hosts, each with the node that has the fewest hosts for its size; one without cores is to have none."""
        nodes = [node for node in self._nodes if node.cpus]
        count = {node.id: 0 for node in self._nodes} | {"": 0}
        for place in self._places.values():
            if place.is_host and place.node in count:
                count[place.node] += 1
        placed = []
        for name in names:
            node = min(nodes, key=lambda n: (count[n.id] / n.cpus, n.id), default=NOWHERE)
            count[node.id] += 1
            placed.append((name, node.id))
        return placed

    def _end(self) -> list[str]:
        wanted = {host.name for host in self._hosts} | {loop_name(loop_id) for loop_id in self._own}
        return [p.name for p in self._places.values() if p.is_up and not p.loops and p.name not in wanted]

    # --- which loops are where

    def _keep_once(self) -> tuple[dict[str, str], dict[str, list[str]]]:
        """The place of each loop that has one, and what places hold that they should not."""
        kept: dict[str, str] = {}
        drop: dict[str, list[str]] = {}
        # What cannot be told to let go keeps what it holds.
        for place in sorted(self._places.values(), key=lambda p: (p.is_up, p.is_host, p.name)):
            for loop_id in place.loops:
                if loop_id in self._loops and loop_id not in kept:
                    kept[loop_id] = place.name
                elif place.is_up and loop_id not in self._busy:
                    drop.setdefault(place.name, []).append(loop_id)
        return kept, drop

    def _target(self, loop_id: str) -> str | None:
        own = self._places.get(loop_name(loop_id))
        return own.name if own is not None and own.is_up and loop_id in self._own else self._take_room()

    def _take_room(self) -> str | None:
        """The host with the least, which has one loop more now."""
        if not self._loads:
            return None
        name = min(self._loads, key=lambda host: (self._loads[host], host))
        self._loads[name] += 1
        return name

    def _mend(self, loop_id: str, place: Place) -> None:
        """Has a loop moved that is in the wrong kind of place."""
        if not place.is_up or loop_id in self._busy:
            return
        own = self._places.get(loop_name(loop_id))
        is_own = loop_id in self._own and own is not None and own.is_up
        if is_own and place.is_host:
            self._move(loop_id, place.name, loop_name(loop_id))
        elif place.name not in self._ready and not (is_own and place is own) and (to_name := self._take_room()):
            self._move(loop_id, place.name, to_name)

    def _move(self, loop_id: str, from_name: str, to_name: str) -> None:
        if from_name in self._loads:
            self._loads[from_name] -= 1
        self._moves.setdefault((from_name, to_name), []).append(loop_id)

    def _balance(self) -> None:
        """Has hosts with too much give to those with too little, until all have the same: no more moves than that."""
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


def own_loop(name: str) -> str | None:
    """The loop whose own process has this name; None for a host."""
    return name.removeprefix(LOOP_PREFIX) if name.startswith(LOOP_PREFIX) else None


def is_place(name: str) -> bool:
    """Whether an actor of this name holds loops."""
    return name.startswith((LOOP_PREFIX, HOST_PREFIX))

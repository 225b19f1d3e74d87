"""Placement of loops: one slot for each, within the budget, and with few moves."""

from __future__ import annotations

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from actors.actor_names import host_name, loop_name
from actors.loops.placement import MOVES_AT_ONCE, NodeCapacity, Plan, Slot, budget_of, decide, hosts_wanted

MEMORY = 8e9
nodes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(
    lambda sizes: [NodeCapacity(f"node-{n}", cpus, MEMORY) for n, cpus in enumerate(sizes)]
)


class FakeSlots:
    """Slots that carry out a plan at once."""

    def __init__(self, budget: int, node_list: list[NodeCapacity]) -> None:
        self.budget = budget
        self.nodes = node_list
        self.slots: dict[str, Slot] = {}
        self.moves = 0

    def decide(self, loops: list[str]) -> Plan:
        return decide(loops, list(self.slots.values()), self.nodes, self.budget)

    def carry_out(self, plan: Plan) -> None:
        for name, loop_ids in plan.release.items():
            self.remove(name, loop_ids)
        for name, loop_ids in plan.assign.items():
            self.add(name, loop_ids)
        for move in plan.move:
            self.remove(move.from_name, move.loops)
            self.add(move.to_name, move.loops)
            self.moves += len(move.loops)
        for name in plan.end:
            assert not self.slots[name].loops
            del self.slots[name]
        for name, node in plan.start:
            assert name not in self.slots
            self.slots[name] = Slot(name, is_up=True, loops=(), node=node)

    def add(self, name: str, loop_ids: list[str]) -> None:
        slot = self.slots[name]
        assert slot.is_up
        assert not {loop for other in self.slots.values() for loop in other.loops} & set(loop_ids)
        self.slots[name] = slot._replace(loops=(*slot.loops, *loop_ids))

    def remove(self, name: str, loop_ids: list[str]) -> None:
        slot = self.slots[name]
        assert set(loop_ids) <= set(slot.loops)
        self.slots[name] = slot._replace(loops=tuple(loop for loop in slot.loops if loop not in set(loop_ids)))

    def settle(self, loops: list[str]) -> None:
        """Carries out plans until nothing is left to do."""
        for _ in range(60):
            plan = self.decide(loops)
            if plan == Plan([], {}, [], {}, []):
                return
            self.carry_out(plan)
        raise AssertionError(f"it does not settle: {plan}")

    def check(self, loops: list[str]) -> None:
        held = [loop for slot in self.slots.values() for loop in slot.loops]
        assert sorted(held) == sorted(loops)
        hosts = [slot for slot in self.slots.values() if slot.is_host]
        assert len(self.slots) <= max(self.budget, 1)
        assert len(hosts) == hosts_wanted(len(loops), self.budget, self.nodes)
        own = [slot for slot in self.slots.values() if not slot.is_host]
        assert len(own) == min(max(self.budget - len(hosts), 0), len(loops))
        assert all(slot.loops == (slot.name.removeprefix("feedback-loop/"),) for slot in own)
        loads = [len(host.loops) for host in hosts]
        mean = sum(loads) / len(loads)
        assert max(loads) - min(loads) <= 2 * max(mean * 0.1, 1)


def loop_ids(count: int, first: int = 0) -> list[str]:
    return [f"fl_{n:05}" for n in range(first, first + count)]


@given(st.integers(1, 30), nodes, st.lists(st.tuples(st.integers(0, 80), st.integers(0, 60)), min_size=1, max_size=6))
def test_each_loop_has_one_slot_after_any_changes(
    budget: int, node_list: list[NodeCapacity], changes: list[tuple[int, int]]
) -> None:
    """After any creations and deletions, all loops are placed within the budget, and evenly."""
    world, loops, made = FakeSlots(budget, node_list), loop_ids(5), 5
    for new, gone in changes:
        loops = [*loops[gone:], *loop_ids(new, made)]
        made += new
        world.settle(loops)
        world.check(loops)


@given(st.integers(1, 12), nodes, st.data())
def test_a_restarted_slot_gets_its_share(budget: int, node_list: list[NodeCapacity], data: st.DataObject) -> None:
    """Its former loops are assigned again, and other loops move only for balance."""
    world, loops = FakeSlots(budget, node_list), loop_ids(100)
    world.settle(loops)
    name = data.draw(st.sampled_from(sorted(world.slots)))
    lost = len(world.slots[name].loops)
    world.slots[name] = world.slots[name]._replace(loops=())
    before = world.moves
    world.settle(loops)
    world.check(loops)

    assert world.moves - before <= lost


@given(nodes, st.integers(1, 3))
def test_a_new_node_gets_its_share_with_minimal_moves(node_list: list[NodeCapacity], new_cpus: int) -> None:
    """Loops move only to the new node."""
    loops = loop_ids(1000)
    world = FakeSlots(budget_of(node_list), node_list)
    world.settle(loops)
    hosts, before = len(world.decide(loops).end) + _hosts(world), world.moves
    world.nodes = [*node_list, NodeCapacity("new", new_cpus, MEMORY)]
    world.budget = budget_of(world.nodes)
    world.settle(loops)
    world.check(loops)

    share = ceil(1000 / _hosts(world))
    grown = _hosts(world) - hosts
    assert [slot.node for slot in world.slots.values() if slot.is_host].count("new") == new_cpus == grown
    own_grown = sum(not slot.is_host for slot in world.slots.values())
    assert world.moves - before <= share * grown + own_grown + 2 * _hosts(world)


@given(nodes)
def test_no_loop_is_lost_with_a_node(node_list: list[NodeCapacity]) -> None:
    """With less capacity, slots end until the budget fits, and their loops move."""
    loops = loop_ids(300)
    world = FakeSlots(
        budget_of([*node_list, NodeCapacity("more", 2, MEMORY)]), [*node_list, NodeCapacity("more", 2, MEMORY)]
    )
    world.settle(loops)
    world.nodes, world.budget = node_list, budget_of(node_list)
    world.settle(loops)

    world.check(loops)


def _hosts(world: FakeSlots) -> int:
    return sum(slot.is_host for slot in world.slots.values())


def test_a_slot_that_is_down_keeps_its_loops() -> None:
    """It may still deliver, so no other slot gets its loops, and it gets no orders."""
    slots = [
        Slot(host_name(0), is_up=False, loops=("fl_a", "fl_b")),
        Slot(host_name(1), is_up=True, loops=("fl_c",)),
        Slot(loop_name("fl_a"), is_up=True, loops=()),
    ]
    plan = decide(["fl_a", "fl_b", "fl_c", "fl_d"], slots, [NodeCapacity("n", 2, MEMORY)], 4)

    assert plan.assign == {host_name(1): ["fl_d"]}
    assert (plan.move, plan.release, plan.end) == ([], {}, [])


def test_a_loop_that_two_slots_hold_is_released_by_one() -> None:
    """Its own actor keeps it. A deleted loop is released by all."""
    slots = [
        Slot(loop_name("fl_a"), is_up=True, loops=("fl_a",)),
        Slot(host_name(0), is_up=True, loops=("fl_a", "fl_b", "fl_gone")),
    ]
    plan = decide(["fl_a", "fl_b"], slots, [NodeCapacity("n", 2, MEMORY)], 2)

    assert plan == Plan([], {}, [], {host_name(0): ["fl_a", "fl_gone"]}, [])


def test_moving_loops_are_not_planned() -> None:
    """The plan contains no loop that is being moved."""
    slots = [Slot(host_name(0), is_up=True, loops=("fl_a", "fl_x")), Slot(loop_name("fl_a"), is_up=True, loops=())]
    plan = decide(["fl_a", "fl_new"], slots, [NodeCapacity("n", 2, MEMORY)], 2, busy={"fl_a", "fl_x", "fl_new"})

    assert plan == Plan([], {}, [], {}, [])


def test_the_first_host_starts_first() -> None:
    """No loop gets its own actor until there is a host for all."""
    node = NodeCapacity("n", 2, MEMORY)

    assert decide(["fl_a"], [], [node], 5).start == [(host_name(0), "n")]
    assert decide(["fl_a"], [Slot(host_name(0), is_up=False, loops=())], [node], 5).start == []
    assert decide(["fl_a"], [Slot(host_name(0), is_up=True, loops=())], [node], 5).start == [(loop_name("fl_a"), "")]
    assert decide(["fl_a"], [], [], 1).start == [(host_name(0), "")]


def test_a_node_without_cores_gets_no_host() -> None:
    """The node is only for Ray's own processes."""
    head, worker = NodeCapacity("a-head", 0, MEMORY), NodeCapacity("worker", 2, MEMORY)

    assert decide(["fl_a"], [], [head, worker], 24).start == [(host_name(0), "worker")]
    assert decide(["fl_a"], [], [head], 1).start == [(host_name(0), "")]


def test_moves_between_hosts_are_staged() -> None:
    """A new host gets its share in steps."""
    loops = loop_ids(2000)
    slots = [Slot(host_name(0), is_up=True, loops=loops), Slot(host_name(1), is_up=True, loops=())]
    plan = decide(loops, slots, [NodeCapacity("n", 2, MEMORY)], 2)
    [move] = decide(loops, slots, [NodeCapacity("n", 2, MEMORY), NodeCapacity("m", 1, MEMORY)], 4).move

    assert plan.move == []
    assert (move.from_name, move.to_name, len(move.loops)) == (host_name(0), host_name(1), MOVES_AT_ONCE)


def test_the_budget_follows_memory_and_cores() -> None:
    """75 MB each from half of the memory, at most twelve per core, and at least one."""
    assert budget_of([NodeCapacity("n", 2, 16e9)]) == 24
    assert budget_of([NodeCapacity("n", 8, 1.5e9)]) == 10
    assert budget_of([NodeCapacity("n", 1, 1e8)]) == 1
    assert budget_of([NodeCapacity("n", 2, 16e9), NodeCapacity("m", 4, 16e9)]) == 72


def test_a_host_that_starts_later_gets_its_share() -> None:
    """The first of two hosts does not get all loops in one round, because half would have to move."""
    loops = loop_ids(10_000)
    world = FakeSlots(2, [NodeCapacity("node-0", 4, MEMORY)])
    world.slots = {host_name(n): Slot(host_name(n), is_up=n == 0, loops=(), node="node-0") for n in range(2)}
    world.budget = 4
    world.carry_out(world.decide(loops)._replace(start=[]))
    first = len(world.slots[host_name(0)].loops)

    assert 0 < first < len(loops) / 5

    world.slots[host_name(1)] = world.slots[host_name(1)]._replace(is_up=True)
    world.settle(loops)

    assert len(world.slots[host_name(1)].loops) >= 4_500
    assert world.moves <= first

"""Contract suite for what a running erasure waits for, as those who look see it. A store subclasses it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from actors.commands.erasures import Erasure
from actors.ledger.erasure.runner import ErasureRunner
from actors.ledger.erasure.step import Advance, ErasureAction
from actors.ledger.erasure.steps.bytes import BytesAction
from actors.ledger.erasure.steps.front_ends import FrontEndsAction
from actors.ledger.erasure.steps.lanes import LanesAction
from actors.ledger.queries.erasures import ATTEMPTS
from domain.erasure import RunningErasure, StepName
from domain.errors import Unavailable
from tests.contract.ledger_facts import Store
from tests.contract.ledger_front_ends_suite import at_step, confirm, execute, install, request


class FakeHosts:
    """Fake `LoopHosts`, some of which are silent."""

    def __init__(self, *silent: str) -> None:
        self.silent = list(silent)

    async def forget_queued(self, loop_ids: Sequence[str]) -> list[str]:
        return self.silent


class FakeClearing:
    """Fake `ByteClearing` of a store that may be in use."""

    outside: Sequence[str] = ()
    problem: str | None = None

    def clear(self) -> str | None:
        return self.problem


class FailingSearch:
    """Fake of the step of returned mails, whose process may not start."""

    name = StepName.MAILS
    problem = "the process does not start"

    async def advance(self, erasures: Sequence[RunningErasure]) -> Advance:
        if self.problem:
            raise Unavailable(self.problem)
        return Advance(erasures)


def shown(store: Store, id_: str) -> Erasure:
    found = store.reader.erasure(None, id_)
    assert found is not None
    return found


def advance(store: Store, *actions: ErasureAction) -> None:
    store.run(ErasureRunner(actions, store.writer.erasure_store).advance())


class WaitsSuite:
    """`Erasure.waiting_for` at each step that depends on others."""

    @pytest.fixture
    def id_(self, store: Store) -> str:
        """A running erasure; a front end has not confirmed it."""
        install(store, "edge-1")
        store.active_loop(store.account())
        return request(store, "ers_1")

    def test_front_ends_are_named_while_they_are_awaited(self, store: Store, id_: str) -> None:
        """Not before it is their turn, and none that has joined after it."""
        action = FrontEndsAction(store.writer.erasure_store)
        assert shown(store, id_).waiting_for == []
        at_step(store, id_, StepName.FRONT_ENDS)
        advance(store, action)
        assert shown(store, id_).waiting_for == ["edge-1"]
        at_step(store, id_, StepName.MAILS)
        assert shown(store, id_).waiting_for == []

    def test_a_silent_process_with_loops_is_named(self, store: Store, id_: str) -> None:
        """Until it has answered; before that, the attempts under way are what is awaited."""
        hosts, access = FakeHosts("loops-1", "loops-2"), store.writer.erasure_store
        actions = LanesAction(access, hosts), BytesAction(access, FakeClearing())
        at_step(store, id_, StepName.LANES)
        assert shown(store, id_).waiting_for == [ATTEMPTS]
        for silent in (["loops-1", "loops-2"], ["loops-2"]):
            hosts.silent = silent
            advance(store, *actions)
            assert [each.partition(" (")[0] for each in shown(store, id_).waiting_for] == silent
        hosts.silent = []
        advance(store, *actions)
        assert (shown(store, id_).state, shown(store, id_).waiting_for) == ("completed", [])

    def test_a_store_in_use_is_named_with_its_users(self, store: Store, id_: str) -> None:
        """Also while the step rests between two attempts."""
        clearing, now_s = FakeClearing(), iter([0.0, 1.0, 2.0, 20.0, 21.0])
        action = BytesAction(store.writer.erasure_store, clearing, lambda: next(now_s))
        at_step(store, id_, StepName.BYTES)
        clearing.problem = "a transaction of psql may still read erased rows"
        for _ in range(2):
            advance(store, action)
            assert shown(store, id_).waiting_for == ["the store (a transaction of psql may still read erased rows)"]
        execute(store, "UPDATE erasures SET person = ''")
        clearing.problem = None
        advance(store, action)
        assert (shown(store, id_).state, shown(store, id_).waiting_for) == ("completed", [])

    def test_a_step_that_fails_is_shown_and_holds_up_no_other(self, store: Store, id_: str) -> None:
        """The reason is in the erasure, and goes once the step has ended; other erasures go on meanwhile."""
        search, access = FailingSearch(), store.writer.erasure_store
        lanes = LanesAction(access, FakeHosts("loops-1"))
        request(store, "ers_2", person="jane@example.com")
        at_step(store, "ers_2", StepName.LANES)
        at_step(store, id_, StepName.MAILS)
        confirm(store, "id-edge-1", id_)
        with pytest.raises(Unavailable, match="does not start"):
            advance(store, search, lanes)
        assert shown(store, id_).waiting_for == ["the service (the process does not start)"]
        assert "loops-1" in shown(store, "ers_2").waiting_for[0]
        search.problem = ""
        advance(store, search, lanes)
        assert "loops-1" in shown(store, id_).waiting_for[0]

    def test_a_new_request_forgets_what_the_first_run_waited_for(self, store: Store, id_: str) -> None:
        """It begins again, at a step that waits for no one."""
        at_step(store, id_, StepName.LANES)
        advance(store, LanesAction(store.writer.erasure_store, FakeHosts("loops-1")))
        assert request(store, "ers_2") == id_
        assert (shown(store, id_).step, shown(store, id_).waiting_for) == ("messages", [])

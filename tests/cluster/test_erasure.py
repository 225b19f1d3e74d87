"""Erasure of a person in a cluster, while hits and reports of that person arrive at every front end."""

from __future__ import annotations

from functools import partial
from typing import Final

import pytest

from tests.cluster.cluster_fixture import Cluster
from tests.cluster.network import OWN_NUMBER
from tests.erasures import (
    Person,
    PersonLoad,
    check_nothing_is_left,
    completed_erasure,
    erase,
    restart_front_end,
    shown_erasure,
)
from tests.handler import Handler
from tests.personal_traces import files_of, tables_of, where
from tests.service import Account, eventually
from tests.stepped_clock import DAY_S

EMAIL: Final = "Heron.Strider58@kvx-cluster.example"


@pytest.mark.chaos
@pytest.mark.ray
@pytest.mark.timeout(300)
def test_an_erasure_waits_for_a_machine_that_is_cut_off(cluster: Cluster) -> None:
    """It names the machine, whose front end still accepts hits and reports, and completes when it is back.

    Then no machine, log or table has a trace of the person, not even of a bounce a day later.
    """
    ledger = cluster.machine_of("ledger")
    cut_off = next(edge for edge in cluster.edges if edge.machine is not ledger)
    (here,) = [edge for edge in cluster.edges if edge is not cut_off]
    account = here.account()
    there = Account(cut_off, account.key)

    def places() -> dict[str, bytes]:
        return files_of(cluster.folder) | tables_of(here.environment["FEEDBACK_LOOPS_STORE"])

    with Handler(host=cluster.network.inside(OWN_NUMBER)) as handler:
        person = Person(account, handler, EMAIL)
        with PersonLoad(person, account) as near, PersonLoad(person, there) as far:
            near.wait_for_more(60)
            far.wait_for_more(60)
            assert where(places(), person.secrets), "the search finds what is there"
            cut_off.machine.cut_off()
            try:
                erasure_id = erase(account, EMAIL)
                shown = partial(shown_erasure, account, erasure_id)
                eventually(lambda: shown().get("waiting_for") == [cut_off.machine.name], 60, "only one is awaited", 0.2)
                far.wait_for_more(30)
                assert shown()["state"] == "running"
            finally:
                cut_off.machine.rejoin()
            completed_erasure(account, erasure_id, 120)
            sent_before = len(handler.got)
            near.wait_for_more(30)
            far.wait_for_more(30)
        cluster.clock.advance(DAY_S)
        person.bounces_late(there)
        person.check_erased()
        assert len(handler.got) == sent_before
    account.call("DELETE", f"/v1/feedback-loops/{person.loop_id}")

    for edge in cluster.edges:
        restart_front_end(edge)
    check_nothing_is_left(person, places)

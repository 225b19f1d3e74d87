"""CPU time by kind of process, from process names and readings."""

from __future__ import annotations

import os
import threading
import time

import pytest

from benchmarks.process_tree import RAY, Used, cpu_s, kind_of, spent_s

PYTHON = "/srv/.venv/bin/python"


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        ("ray::LedgerActor   ", "ledger"),
        ("ray::EnricherActor", "enrichment"),
        ("ray::FeedbackLoopActor.beat", "loops"),
        ("ray::LoopHostActor.beat", "loops"),
        ("ray::SupervisorActor", "supervisor"),
        ("ray::CounterActor.add", "CounterActor"),
        ("ray::DashboardAgent", RAY),
        ("ray::IDLE", RAY),
        (f"{PYTHON} -m api.cli.main serve --port 8080", "keeper"),
        (f"{PYTHON} -m api.serve_front --fd 5", "front end"),
        (f"{PYTHON} -m api.main --fd 5", "front end"),
        (f"{PYTHON} -m actors.gateway.main --settings ledger.json", "gateway"),
        (f"{PYTHON} -m actors.counter", "actors.counter"),
        (f"{PYTHON} -m ray.scripts.scripts start --head", RAY),
        (f"{PYTHON} -m actors.ray_runtime.local_node --cpus 2", RAY),
        (f"{PYTHON} /srv/.venv/lib/site-packages/ray/dashboard/dashboard.py --host=127.0.0.1", RAY),
        ("/srv/.venv/lib/site-packages/ray/core/src/ray/gcs/gcs_server --port=1", RAY),
        ("/usr/bin/openssl s_client -m", "openssl"),
        ("", "no name"),
    ],
)
def test_the_kind_of_a_process_needs_no_exact_name(command: str, kind: str) -> None:
    """Part of the name is enough, because versions name their modules and classes differently."""
    assert kind_of(command) == kind


def test_cpu_time_between_two_readings_is_summed_by_kind() -> None:
    """All CPU time of a process that started in between counts."""
    before = {1: Used("loops", 0, 10.0, 0.0), 2: Used("ledger", 0, 5.0, 0.0)}
    after = {1: Used("loops", 0, 10.5, 0.0), 2: Used("ledger", 0, 6.0, 0.0), 3: Used("loops", 0, 0.25, 0.0)}
    assert spent_s(before, after) == {"loops": 0.75, "ledger": 1.0}


def test_earlier_cpu_time_of_an_ended_child_is_not_counted() -> None:
    """The kernel adds the process's whole life to its parent, so what it used before the first
    reading is subtracted.
    """
    before = {1: Used("keeper", 0, 1.0, 2.0), 2: Used("front end", 1, 7.0, 0.5)}
    after = {1: Used("keeper", 0, 1.0, 10.0)}
    assert spent_s(before, after) == {"keeper": 0.5}


def test_an_ended_process_without_a_waiting_parent_subtracts_nothing() -> None:
    """No CPU time is negative."""
    before = {1: Used(RAY, 0, 1.0, 0.0), 2: Used("loops", 1, 7.0, 0.0)}
    assert spent_s(before, {1: Used(RAY, 0, 1.5, 0.0)}) == {RAY: 0.5}


def test_the_cpu_time_of_a_process_includes_ended_threads() -> None:
    """It equals the clock that the process itself reads."""
    thread = threading.Thread(target=sum, args=(range(200_000),))
    thread.start()
    thread.join()
    earlier_s = time.process_time()
    assert earlier_s <= cpu_s(os.getpid()) <= time.process_time()

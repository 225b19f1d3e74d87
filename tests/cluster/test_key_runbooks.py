"""Runbooks of `docs/how-to/lost-keys.md` on a cluster of three machines, two of which have a front end.

Each test checks the runbook's table on both front ends: which links, secrets and passwords work before and after.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from actors.installation.master_key import NEXT_FILE
from actors.settings.data_dir import write_private
from tests.cluster.cluster_fixture import Cluster
from tests.e2e.key_runbooks import (
    DROPPED,
    ROTATED,
    SAME,
    all_work,
    another_installation,
    give_up_lost_keys,
    keys,
    lose_data_directory,
    make,
    rotate,
    run_command,
    wait_for_new_links,
    wait_until_rotated,
    works,
    wrong_volume,
    wrong_volume_is_noticed,
)
from tests.service import Service, eventually

pytestmark = [pytest.mark.chaos, pytest.mark.ray, pytest.mark.timeout(300)]

MASTER_KEY = "FEEDBACK_LOOPS_MASTER_KEY"


def awaited(service: Service) -> Callable[[], list[str]]:
    """Reads the names of the machines for which a rotation waits."""
    return lambda: [each["name"] for each in keys(service)["front_ends"] if each["is_awaited"]]


def test_the_master_key_is_replaced_while_a_machine_is_off(cluster: Cluster) -> None:
    """It is a variable on each machine. The machine that was off joins again with the next one, and nothing ends."""
    here, off = cluster.edges
    made = make(here, here.account(), "before-the-next-master-key")
    all_work([off], [(made, SAME)])
    before, master_key = keys(here), secrets.token_hex(32)
    for edge in cluster.edges:
        write_private(edge.data_dir / NEXT_FILE, master_key + "\n")
    off.terminate()
    rotate(here, "rotate-master")
    assert works(here, made) == SAME
    here.environment[MASTER_KEY] = master_key
    here.terminate()
    here.start()
    eventually(lambda: awaited(here)() == [off.machine.name], 10, "the rotation waits for the machine that is off")
    assert works(here, made) == SAME
    off.environment[MASTER_KEY] = master_key
    off.start()

    after = wait_until_rotated(here)
    assert (after["installation"], after["master_key"] != before["master_key"]) == (before["installation"], True)
    for edge in cluster.edges:
        (edge.data_dir / NEXT_FILE).unlink()
    all_work(cluster.edges, [(made, SAME)])


def test_keys_are_replaced_after_a_leak_while_a_machine_is_off(cluster: Cluster) -> None:
    """The new key signs when the machine is back. What the old one made works until it is dropped."""
    here, off = cluster.edges
    account = here.account()
    made, absent = make(here, account, "before-the-leak"), make(here, account, "absent")
    before = keys(here)["keys"][-1]["id"]
    all_work([off], [(made, SAME)])
    off.terminate()
    rotate(here, "rotate")
    eventually(lambda: awaited(here)() == [off.machine.name], 10, "the rotation waits")
    assert [key["state"] for key in keys(here)["keys"]][-2:] == ["signs", "waits"]
    during = make(here, account, "during")
    off.start()
    for edge in cluster.edges:
        status = wait_until_rotated(edge)
        wait_for_new_links(edge, made)
        assert [key["id"] for key in status["keys"] if key["state"] == "signs"] == [before + 1]
    after = make(off, account, "after-the-leak")
    all_work(cluster.edges, [(made, ROTATED), (during, ROTATED), (after, SAME)])

    dropped = run_command(off, "keys", "drop-old", str(before), "--yes")
    assert dropped.returncode == 0, dropped.stderr
    signed_in = DROPPED | {"password": True}
    all_work(cluster.edges, [(made, signed_in), (during, signed_in), (absent, DROPPED), (after, SAME)])


def test_a_lost_master_key_costs_what_it_signed(cluster: Cluster) -> None:
    """`rekey` on one machine, with all front ends stopped, is enough: the others follow the store."""
    here, there = cluster.edges
    made = make(here, here.account(), "before-the-loss")
    all_work([there], [(made, SAME)])
    installation, master_key = keys(here)["installation"], secrets.token_hex(32)
    for edge in cluster.edges:
        edge.terminate()
        edge.environment[MASTER_KEY] = master_key
    give_up_lost_keys(here)
    for edge in cluster.edges:
        edge.start(wait=False)
    cluster.wait_ready()
    wait_until_rotated(here)

    after = make(here, made.account, "after-the-loss")
    all_work(cluster.edges, [(made, DROPPED), (after, SAME)])
    assert keys(there)["installation"] == installation


def test_a_lost_data_directory_is_made_again_from_the_store(cluster: Cluster) -> None:
    """The other machine works meanwhile; afterwards the lost front end only needs to be forgotten."""
    here, lost = cluster.edges
    made = make(here, here.account(), "before-the-directory-is-lost")
    former = {each["id"] for each in keys(here)["front_ends"]}
    lose_data_directory(lost, made)
    all_work(cluster.edges, [(made, SAME)])

    def ids() -> set[str]:
        return {each["id"] for each in keys(here)["front_ends"]}

    eventually(lambda: len(ids()) == len(former) + 1, 10, "the new front end is known")
    own: dict[str, Any] = {each["id"]: each for each in keys(here)["front_ends"]}
    (gone,) = [id_ for id_ in former if own[id_]["name"] == lost.machine.name]
    forgotten = run_command(here, "edges", "forget", gone, "--yes")
    assert forgotten.returncode == 0, forgotten.stderr
    assert ids() == set(own) - {gone}


def test_a_wrong_volume_is_noticed(cluster: Cluster, tmp_path: Path) -> None:
    """On the other machine everything works meanwhile, and on this one with the right volume again."""
    here, wrong = cluster.edges
    made, before = make(here, here.account(), "made"), keys(here)
    directory, foreign, other = another_installation(wrong, tmp_path / "wrong", cluster.postgres.new_database())
    with wrong_volume(wrong, directory):
        wrong_volume_is_noticed(wrong, made, foreign, [before["installation"], other])
        assert works(here, made) == SAME
    all_work(cluster.edges, [(made, SAME)])
    assert [each["id"] for each in keys(here)["front_ends"]] == [each["id"] for each in before["front_ends"]]

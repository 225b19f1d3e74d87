"""Runbooks of `docs/how-to/rotate-keys.md` and `docs/how-to/lost-keys.md`, on the real service and both stores.

Each test checks the runbook's table: which links, secrets and passwords work before and after.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

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
    wait_until_rotated,
    works,
    wrong_volume,
    wrong_volume_is_noticed,
)
from tests.postgres import PostgresServer, running_server
from tests.service import Service, eventually


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    with running_server() as made:
        yield made


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def service(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service on each store. It is ready, and each test leaves it so; its processes are ended afterwards."""
    store = {}
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("server")
        store["FEEDBACK_LOOPS_STORE"] = server.new_database()
    made = Service(tmp_path_factory.mktemp("rotated") / "data", **store)
    try:
        yield made.start()
    finally:
        made.end()


@pytest.fixture(scope="module")
def first(server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that is given its master key. It is ready, and each test leaves it so."""
    made = Service(
        tmp_path_factory.mktemp("first") / "data",
        FEEDBACK_LOOPS_STORE=server.new_database(),
        FEEDBACK_LOOPS_MASTER_KEY="ab" * 32,
    )
    try:
        yield made.start()
    finally:
        made.end()


@pytest.mark.timeout(300)
def test_keys_are_rotated_while_the_service_runs(service: Service) -> None:
    """The master key, then the installation key, each through a `kill -9` of the gateway; then the old key ends."""
    account = service.account()
    before, absent = make(service, account, "before"), make(service, account, "absent")
    assert works(service, before) == SAME
    status = keys(service)
    former_master = (service.data_dir / "master.key").read_text()

    rotate(service, "rotate-master")
    _kill_gateway(service)
    rotated = wait_until_rotated(service)
    assert works(service, before) == SAME
    assert (rotated["installation"], rotated["master_key"] != status["master_key"]) == (status["installation"], True)
    assert (service.data_dir / "master.key").read_text() != former_master

    rotate(service, "rotate")
    _kill_gateway(service)
    rotated = wait_until_rotated(service)
    assert [key["state"] for key in rotated["keys"]] == ["reads", "signs"]
    after = make(service, account, "after")
    assert (works(service, before), works(service, after)) == (ROTATED, SAME)

    service.terminate()
    service.start()
    assert (works(service, before), works(service, after)) == (ROTATED, SAME)

    shown = run_command(service, "keys", "drop-old", "1", "--yes")
    ended = "the links of 2 messages, 1 passwords, the secrets of 0 loops and the headers of 0 loops"
    assert ended in shown.stdout + shown.stderr
    all_work([service], [(absent, DROPPED)])
    assert works(service, before) == DROPPED | {"password": True}, "its user has signed in since the rotation"
    assert works(service, after) == SAME


@pytest.mark.timeout(300)
def test_a_lost_master_key_costs_what_it_signed(service: Service) -> None:
    """With the service stopped, `rekey` gives it a new key. Accounts, loops and messages stay."""
    account = service.account()
    before = make(service, account, "before-the-loss")
    installation = keys(service)["installation"]
    service.terminate()
    refused = run_command(service, "rekey", "--data-dir", str(service.data_dir), "--yes")
    assert (refused.returncode, "nothing to do" in refused.stderr) == (1, True)

    (service.data_dir / "master.key").unlink()
    give_up_lost_keys(service)
    service.start()
    wait_until_rotated(service)

    assert works(service, before) == DROPPED
    assert works(service, make(service, account, "after-the-loss")) == SAME
    assert keys(service)["installation"] == installation


@pytest.mark.timeout(300)
def test_a_lost_data_directory_is_made_again_from_the_store(first: Service) -> None:
    """With the master key and the store, everything works as before. Without the master key, nothing is touched."""
    made = make(first, first.account(), "made-before-the-loss")
    installation = keys(first)["installation"]
    assert not (first.data_dir / "master.key").exists()
    lose_data_directory(first, made)
    assert keys(first)["installation"] == installation
    assert works(first, made) == SAME


@pytest.mark.timeout(300)
def test_a_wrong_volume_is_noticed(first: Service, tmp_path: Path, server: PostgresServer) -> None:
    """Another installation's directory: not ready, its own links redirect, others may be right somewhere else: 503."""
    made = make(first, first.account(), "made")
    before = keys(first)
    first.terminate()
    directory, foreign, other = another_installation(first, tmp_path / "wrong", server.new_database())
    with wrong_volume(first, directory):
        wrong_volume_is_noticed(first, made, foreign, [before["installation"], other])
    assert works(first, made) == SAME
    assert [each["id"] for each in keys(first)["front_ends"]] == [each["id"] for each in before["front_ends"]]


def _kill_gateway(service: Service) -> None:
    (gateway,) = service.processes("gateway")
    gateway.kill()
    gateway.wait(5)
    eventually(service.is_ready, 40, "the service is ready again")

"""Runbooks of `docs/how-to/rotate-keys.md` and `docs/how-to/lost-keys.md`, on the real service and both stores.

Each test checks the runbook's table: which links, secrets and passwords work before and after.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.key_runbooks import keys, make, rotate, wait_until_rotated, works
from tests.paths import ROOT
from tests.postgres import PostgresServer, running_server
from tests.service import Service, eventually

#: Everything of an installation works as before.
SAME = {"link": 302, "secret": "same", "password": True}
#: After a rotation of the installation key, loops have a new secret, and nothing else changes.
ROTATED = {"link": 302, "secret": "new", "password": True}
#: After the end of the key that they were made with.
DROPPED = {"link": 404, "secret": "new", "password": False}


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


def cli(service: Service, *arguments: str) -> str:
    """Runs a command of the operator."""
    command = [sys.executable, "-m", "api.cli.main", "keys", *arguments, "--url", f"http://127.0.0.1:{service.port}"]
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "FEEDBACK_LOOPS_ADMIN_KEY": "test-admin-key"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout + done.stderr


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

    shown = cli(service, "drop-old", "1", "--yes")
    assert "the links of 2 messages, 1 passwords, the secrets of 0 loops and the headers of 0 loops" in shown
    eventually(lambda: works(service, absent) == DROPPED, 10, "what the old key made has ended")
    assert works(service, before) == DROPPED | {"password": True}, "its user has signed in since the rotation"
    assert works(service, after) == SAME


@pytest.mark.timeout(300)
def test_a_lost_master_key_costs_what_it_signed(service: Service) -> None:
    """With the service stopped, `rekey` gives it a new key. Accounts, loops and messages stay."""
    account = service.account()
    before = make(service, account, "before-the-loss")
    installation = keys(service)["installation"]
    service.terminate()
    rekey = [sys.executable, "-m", "api.cli.main", "rekey", "--data-dir", str(service.data_dir), "--yes"]
    env = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **service.environment}
    refused = subprocess.run(rekey, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60)
    assert (refused.returncode, "nothing to do" in refused.stderr) == (1, True)

    (service.data_dir / "master.key").unlink()
    subprocess.run(rekey, cwd=ROOT, env=env, check=True, timeout=60)
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
    first.terminate()
    shutil.rmtree(first.data_dir)

    master_key = first.environment.pop("FEEDBACK_LOOPS_MASTER_KEY")
    first.start(wait=False)
    eventually(lambda: "wrapped by the master key" in first.problems(), 40, "the missing key is named")
    assert first.http.get(made.link, follow_redirects=False).status_code == 503
    first.terminate()

    first.environment["FEEDBACK_LOOPS_MASTER_KEY"] = master_key
    first.start()
    assert keys(first)["installation"] == installation
    assert works(first, made) == SAME


@pytest.mark.timeout(300)
def test_a_wrong_volume_is_noticed(first: Service, tmp_path: Path, server: PostgresServer) -> None:
    """Another installation's directory: not ready, its own links redirect, others may be right somewhere else: 503."""
    wrong = Service(tmp_path / "wrong", FEEDBACK_LOOPS_STORE=server.new_database())
    try:
        made = make(first, first.account(), "made")
        fingerprint, front_ends = keys(first)["installation"], keys(first)["front_ends"]
        first.terminate()
        wrong.start()
        foreign = make(wrong, wrong.account(), "foreign")
        other = keys(wrong)["installation"]
        wrong.terminate()

        wrong.environment["FEEDBACK_LOOPS_STORE"] = first.environment["FEEDBACK_LOOPS_STORE"]
        wrong.start(wait=False)
        eventually(lambda: fingerprint in wrong.problems() and other in wrong.problems(), 40, "both are named")
        assert wrong.http.get("/readyz").status_code == 503
        unknown = partial(wrong.http.get, made.link, follow_redirects=False)
        eventually(lambda: unknown().status_code == 503, 10, "the front end knows of it, too")
        answers = {
            name: wrong.http.get(each.link, follow_redirects=False)
            for name, each in (("made", made), ("foreign", foreign))
        }
        assert {name: answer.status_code for name, answer in answers.items()} == {"made": 503, "foreign": 302}
        assert answers["made"].headers["retry-after"] == "5"
        wrong.terminate()

        first.start()
        assert works(first, made) == SAME
        assert [each["id"] for each in keys(first)["front_ends"]] == [each["id"] for each in front_ends]
    finally:
        wrong.end()


def _kill_gateway(service: Service) -> None:
    (gateway,) = service.processes("gateway")
    gateway.kill()
    gateway.wait(5)
    eventually(service.is_ready, 40, "the service is ready again")

"""Process model of `serve`, with real processes and Ray: restarts, waiting requests, and no processes left behind."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from actors.settings.data_dir import runtime_dir_path
from tests.paths import ROOT
from tests.service import Service, eventually, marked

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A ready service whose children the tests may kill."""
    service = Service(tmp_path_factory.mktemp("kept") / "data")
    try:
        yield service.start()
    finally:
        service.kill()
        service.http.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service, not started."""
    service = Service(tmp_path / "data")
    try:
        yield service
    finally:
        service.kill()
        service.http.close()


def only_process(service: Service, role: str) -> psutil.Process:
    (process,) = eventually(lambda: service.processes(role), 30, f"a {role} runs")
    found: psutil.Process = process
    return found


def kill(process: psutil.Process) -> None:
    process.kill()
    process.wait(5)


def answers(service: Service) -> bool:
    try:
        return service.http.get("/healthz").status_code == 200
    except httpx.HTTPError:
        return False


def test_the_front_end_answers_before_ray_runs(service: Service) -> None:
    """Hits are answered while Ray and the actors are still starting."""
    service.start(wait=False)
    eventually(lambda: answers(service), 10, "the front end answers")

    assert not service.is_ready()
    assert service.http.get("/c/forged").status_code == 404
    assert service.processes("ledger") == []


def test_requests_wait_while_the_front_end_restarts(kept: Service) -> None:
    """A request sent after kill -9 of the front end waits in the socket of the `serve` process, and is answered."""
    for _ in range(3):
        kill(only_process(kept, "front"))
        with httpx.Client(trust_env=False, timeout=20) as http:
            assert http.get(f"http://127.0.0.1:{kept.port}/healthz").status_code == 200
    eventually(kept.is_ready, 30, "the service is ready again")


def test_the_gateway_is_restarted(kept: Service) -> None:
    """After kill -9 of the gateway, a new one joins the same Ray with the same actors."""
    ledger, gateway = only_process(kept, "ledger"), only_process(kept, "gateway")
    kill(gateway)
    eventually(kept.is_ready, 30, "the service is ready again")

    assert only_process(kept, "gateway").pid != gateway.pid
    assert only_process(kept, "ledger").pid == ledger.pid


@pytest.mark.parametrize("role", ["gcs", "raylet"])
def test_a_broken_ray_is_replaced(kept: Service, role: str) -> None:
    """After kill -9 of a part of Ray, all of it is replaced; hits are answered throughout."""
    front = only_process(kept, "front")
    old = [p for p in marked(kept.mark) if p.pid not in {front.pid, only_process(kept, "serve").pid}]
    kill(only_process(kept, role))
    eventually(lambda: not any(map(is_live, old)), 10, "the old Ray has ended")
    kept.wait_ready(60)

    assert only_process(kept, "front").pid == front.pid
    assert len(kept.processes("raylet")) == len(kept.processes("gateway")) == 1


def test_a_second_service_is_refused(kept: Service) -> None:
    """`serve` on a data directory in use exits with 1, and names the process that uses it."""
    command = [sys.executable, "-m", "api.cli.main", "serve", "--port", "0", "--data-dir", str(kept.data_dir)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)

    assert done.returncode == 1
    assert f"process {only_process(kept, 'serve').pid}" in done.stderr


def test_everything_is_private(kept: Service) -> None:
    """Only the owner can read the data directory, and Ray's files in the system's temporary directory."""
    for path in (kept.data_dir, runtime_dir_path(kept.data_dir)):
        assert path.stat().st_mode & 0o077 == 0
    for path in kept.data_dir.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            assert path.stat().st_mode & 0o077 == 0, path


def test_ray_requires_its_token(kept: Service, tmp_path: Path) -> None:
    """Joining the service's Ray without the token fails."""
    gateway = only_process(kept, "gateway")
    address = gateway.cmdline()[gateway.cmdline().index("--ray-address") + 1]
    environment = {n: v for n, v in gateway.environ().items() if not n.startswith("RAY_AUTH")}
    (tmp_path / "token").write_text("0" * 64)
    code = f"from ray._raylet import GcsClient; GcsClient(address={address!r}); print('joined')"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(tmp_path / "token")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "InvalidAuthToken" in done.stderr
    assert "joined" not in done.stdout


def test_sigterm_ends_everything_in_time(service: Service) -> None:
    """Ten seconds after SIGTERM no process runs, the runtime directory is gone, and the data remains."""
    service.start()
    serve = only_process(service, "serve")
    began_s = time.monotonic()
    serve.send_signal(signal.SIGTERM)
    assert serve.wait(15) in {0, None}

    assert time.monotonic() - began_s < 10
    assert [process.cmdline() for process in marked(service.mark)] == []
    assert not runtime_dir_path(service.data_dir).exists()
    assert (service.data_dir / "master.key").exists()
    assert not (service.data_dir / "run" / "gateway.sock").exists()
    assert not (service.data_dir / "run" / "settings.json").exists()
    assert (service.data_dir / "ledger.sqlite-wal").stat().st_size == 0
    assert " message=ready " in service.log.read_text()


def test_kill_9_of_serve_leaves_nothing_running(service: Service) -> None:
    """All children end with `serve`, Ray's workers too, and a new `serve` on the same directory and port starts."""
    service.start()
    old = marked(service.mark)
    only_process(service, "serve").kill()
    assert service.serve_process is not None
    service.serve_process.wait(5)
    service.start(wait=False)
    eventually(lambda: answers(service), 10, "the front end answers")
    service.wait_ready(60)

    assert [process for process in old if is_live(process)] == []
    assert len(service.processes("front")) == len(service.processes("raylet")) == len(service.processes("ledger")) == 1


def test_a_second_signal_ends_it_at_once(service: Service) -> None:
    """The first SIGTERM waits for a request in progress, the second does not."""
    service.start(wait=False)
    eventually(lambda: answers(service), 10, "the front end answers")
    serve = only_process(service, "serve")
    thread = threading.Thread(target=serve.wait, args=(15,))
    thread.start()
    serve.send_signal(signal.SIGTERM)
    serve.send_signal(signal.SIGINT)
    began_s = time.monotonic()
    thread.join(15)

    assert time.monotonic() - began_s < 4
    eventually(lambda: marked(service.mark) == [], 5, "nothing is left")


def is_live(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.is_running())
    return False

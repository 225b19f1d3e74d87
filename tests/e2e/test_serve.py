"""Process model of `serve`, with real processes and Ray: restarts, waiting requests, and no processes left behind."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import httpx
import psutil
import pytest

from actors.settings.data_dir import runtime_dir_path
from tests.service import Service, Sink, eventually, marked

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A ready service whose processes the tests may kill, as long as it is ready again; the last one ends it."""
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


def test_requests_wait_while_the_front_end_restarts(kept: Service) -> None:
    """A request sent after kill -9 of the front end waits in the socket of the `serve` process, and is answered."""
    for _ in range(3):
        kill(only_process(kept, "front"))
        with httpx.Client(trust_env=False, verify=False, timeout=20) as http:
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


def test_everything_is_private(kept: Service) -> None:
    """Only the owner can read the data directory, and Ray's files in the system's temporary directory."""
    for path in (kept.data_dir, runtime_dir_path(kept.data_dir)):
        assert path.stat().st_mode & 0o077 == 0
    for path in kept.data_dir.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            assert path.stat().st_mode & 0o077 == 0, path


def test_nothing_can_be_reached_from_outside(kept: Service) -> None:
    """Every socket of a default service that accepts connections or datagrams, Ray's included, is on loopback."""
    eventually(kept.is_ready, 30, "the service is ready")
    sockets = [socket for process in kept.tree() for socket in process.net_connections("inet")]
    waiting = [socket for socket in sockets if socket.status in {psutil.CONN_LISTEN, psutil.CONN_NONE}]
    addresses = [ip_address(socket.laddr.ip.removeprefix("::ffff:")) for socket in waiting]

    assert len(addresses) > 5  # the front end's, Ray's and the actors'
    assert [address for address in addresses if not address.is_loopback] == []


def test_ray_runs_only_what_is_used(kept: Service) -> None:
    """Of Ray there are only its servers and the actors; two idle processes replace agents."""
    eventually(kept.is_ready, 30, "the service is ready")
    commands = [" ".join(process.cmdline()) for process in kept.tree()]
    own = ("api.", "actors.", "ray::", "gcs/gcs_server", "raylet/raylet")
    others = [command for command in commands if not any(sign in command for sign in own)]

    assert [command.rpartition(" ")[2] for command in sorted(others)] == ["dashboard_agent", "runtime_env_agent"]
    assert [command for command in commands if "ray::" in command and "Agent" in command] == []


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


def test_a_first_start_answers_before_ray_runs_and_a_second_signal_ends_it_at_once(service: Service) -> None:
    """Hits are answered while Ray and the actors start. The first SIGTERM waits for requests, the second does not."""
    service.start(wait=False)
    eventually(lambda: answers(service), 10, "the front end answers")
    assert not service.is_ready()
    assert service.http.get("/c/forged").status_code == 404
    assert service.processes("ledger") == []
    serve = only_process(service, "serve")
    thread = threading.Thread(target=serve.wait, args=(15,))
    thread.start()
    serve.send_signal(signal.SIGTERM)
    serve.send_signal(signal.SIGINT)
    began_s = time.monotonic()
    thread.join(15)

    assert time.monotonic() - began_s < 4
    eventually(lambda: marked(service.mark) == [], 5, "nothing is left")


def test_clicks_are_answered_with_no_ray_to_be_found(kept: Service, sink: Sink) -> None:
    """I2: all children end with `serve`, Ray's workers too; a new one redirects clicks on old links before Ray runs.

    It has the same directory and port, and delivers the hits once Ray runs.
    """
    account = kept.account()
    account.loop(sink)
    (path,) = account.click_paths(1)
    old = marked(kept.mark)
    only_process(kept, "serve").kill()
    assert kept.serve_process is not None
    kept.serve_process.wait(5)
    kept.start(wait=False)
    eventually(lambda: answers(kept), 10, "the front end answers")
    eventually(lambda: kept.http.get(path).status_code == 302, 5, "the click redirects")
    assert not kept.is_ready()
    kept.wait_ready(60)

    assert [process for process in old if is_live(process)] == []
    assert len(kept.processes("front")) == len(kept.processes("raylet")) == len(kept.processes("ledger")) == 1
    eventually(lambda: sink.stats()["unique"] == 1, 20, "the click was delivered")


def test_sigterm_ends_everything_in_time(kept: Service) -> None:
    """Ten seconds after SIGTERM no process runs, the runtime directory is gone, and the data remains."""
    serve = only_process(kept, "serve")
    began_s = time.monotonic()
    serve.send_signal(signal.SIGTERM)
    assert serve.wait(15) in {0, None}

    assert time.monotonic() - began_s < 10
    assert [process.cmdline() for process in marked(kept.mark)] == []
    assert not runtime_dir_path(kept.data_dir).exists()
    assert (kept.data_dir / "master.key").exists()
    assert not (kept.data_dir / "run" / "gateway.sock").exists()
    assert not (kept.data_dir / "run" / "settings.json").exists()
    assert (kept.data_dir / "ledger.sqlite-wal").stat().st_size == 0
    assert " message=ready " in kept.log.read_text()


def is_live(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return bool(process.status() != psutil.STATUS_ZOMBIE and process.is_running())
    return False

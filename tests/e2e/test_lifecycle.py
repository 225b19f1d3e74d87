"""Start and stop of the real service."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from actors.settings.data_dir import runtime_dir_path
from tests.chaos.clicks import Clicks
from tests.paths import ROOT
from tests.service import Service, Sink, eventually, marked


@pytest.mark.alone
def test_a_service_starts_soon_and_stops_under_load_without_losing_a_click(fresh: Service, sink: Sink) -> None:
    """A service is ready within 15 s, SIGTERM ends it within 10 s, and a restart delivers all answered clicks."""
    fresh.start(wait=False)
    assert fresh.wait_ready() < 15
    account = fresh.account()
    account.loop(sink)
    paths = account.click_paths(600)
    clicks = Clicks(fresh.port, paths, 0, 200).start()
    eventually(lambda: sink.stats()["unique"] > 100, 20, "clicks arrive")

    took_s = fresh.terminate()
    left = marked(fresh.mark)
    done = clicks.stop()
    answered = {click.number for click in done if click.status == 302}

    assert took_s < 10
    assert left == []
    assert all(click.status in {302, None} for click in done)
    fresh.start()
    eventually(lambda: not [n for n in answered if not sink.arrivals()[n]], 20, "every answered click was delivered")


def test_a_second_service_on_the_same_data_is_refused(service: Service) -> None:
    """A second service names the first one and a solution, changes nothing, and the first keeps running."""
    second = subprocess.run(
        [sys.executable, "-m", "api.cli.main", "serve", "--port", "0", "--data-dir", str(service.data_dir)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert second.returncode == 1
    assert "in use" in second.stderr
    assert "--data-dir" in second.stderr
    (serve,) = service.processes("serve")
    assert f"process {serve.pid}" in second.stderr
    assert service.is_ready()


def test_a_port_in_use_is_reported(service: Service, tmp_path: Path) -> None:
    """The message for a port in use names the port and the option."""
    second = subprocess.run(
        [
            sys.executable,
            "-m",
            "api.cli.main",
            "serve",
            "--port",
            str(service.port),
            "--data-dir",
            str(tmp_path / "data"),
        ],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )

    assert second.returncode != 0
    assert str(service.port) in second.stderr
    assert "--port" in second.stderr
    assert list(tmp_path.iterdir()) == [], "left behind"
    assert not runtime_dir_path(tmp_path / "data").exists()

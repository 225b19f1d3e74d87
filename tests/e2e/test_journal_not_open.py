"""A journal that cannot be opened, and a stop that can save hits nowhere: what clients and operators see."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from actors.settings.data_dir import DataDir
from tests.listening_socket import held_socket, passing
from tests.paths import ROOT
from tests.ports import free_port
from tests.service import Service, eventually
from tests.small_disk import SmallDisk, small_disk

MIB = 1 << 20


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory whose journal is no directory."""
    path = tmp_path / "data"
    with DataDir.open(path) as data_dir:
        data_dir.init()
    (path / "journal").write_text("")
    return path


def serve(data_dir: Path, *options: str) -> list[str]:
    return [sys.executable, "-P", "-m", "api.cli.main", "serve", "--data-dir", str(data_dir), *options]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def test_serve_ends_with_78_before_it_listens(data_dir: Path) -> None:
    """One sentence on standard error, and the port was never open."""
    port = free_port()
    done = subprocess.run(
        serve(data_dir, "--port", str(port)), env=environment(), capture_output=True, text=True, timeout=60, check=False
    )

    assert done.returncode == 78
    *log, sentence = done.stderr.splitlines()
    assert sentence.startswith(f"feedback-loops serve: the journal cannot be opened: {data_dir / 'journal'}: Not a dir")
    assert not any("action=listening" in line for line in log)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_data_directory_that_cannot_be_written_is_the_same(tmp_path: Path) -> None:
    """No restart changes a read-only mount."""
    mount = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o ro none "$0" && exec "$@"', str(tmp_path)]
    done = subprocess.run(
        [*mount, *serve(tmp_path, "--port", "0")],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 78
    assert "Read-only file system" in done.stderr.splitlines()[-1]


def test_an_inherited_socket_answers_503_before_the_end(data_dir: Path) -> None:
    """A client that has connected gets its answer at once, for 5 s; then the exit code is 78."""
    with held_socket() as held:
        began_s = time.monotonic()
        with subprocess.Popen(
            [*passing(held), *serve(data_dir)], env=environment(), pass_fds=[held.fileno()], stderr=subprocess.PIPE
        ) as process:
            answer = httpx.get(f"http://127.0.0.1:{held.getsockname()[1]}/v1/events", timeout=30, trust_env=False)
            assert process.wait(30) == 78

        assert answer.status_code == 503
        assert "journal" in answer.json()["detail"]
        assert time.monotonic() - began_s >= 5


def test_a_front_end_without_its_journal_answers_clicks_only(tmp_path: Path) -> None:
    """Links redirect, the API gets 503 at once, and the hits arrive once the journal can be opened.

    The same service then loses hits at a stop, because its disk is full and nothing is reserved: exit code 5.
    """
    with small_disk("tmpfs", 1024 * MIB, tmp_path) as disk:
        service = Service(disk.path / "data", FEEDBACK_LOOPS_JOURNAL_RESERVE="0")
        service.log = tmp_path / "log"
        try:
            service.start()
            _answers_without_its_journal(service)
            _loses_hits_at_a_stop(service, disk)
        finally:
            service.end()


def _answers_without_its_journal(service: Service) -> None:
    account = service.account()
    (path,) = account.click_paths(1)
    journal, away = service.data_dir / "journal", service.data_dir / "journal.away"
    journal.rename(away)
    journal.write_text("")
    (front_end,) = service.processes("front")
    front_end.kill()
    eventually(lambda: "journal_not_open" in service.log.read_text(), 20, "the front end cannot open its journal")

    click = eventually(lambda: _answer(service, path), 10, "a click is answered")
    began_s = time.monotonic()
    refused = account.call("GET", "/v1/events")

    assert click.status_code == 302
    assert refused.status_code == 503
    assert time.monotonic() - began_s < 2
    journal.unlink()
    away.rename(journal)
    service.wait_ready()
    eventually(lambda: account.call("GET", "/v1/events?type=click").json()["data"], 20, "the click is recorded")


def _answer(service: Service, path: str) -> httpx.Response | None:
    try:
        return service.http.get(path, timeout=5)
    except httpx.HTTPError:
        return None


def _loses_hits_at_a_stop(service: Service, disk: SmallDisk) -> None:
    paths = service.account().click_paths(2000)
    disk.fill()
    for path in paths:
        assert service.http.get(path).status_code == 302
    process = service.serve_process
    assert process is not None
    took_s = service.terminate()

    assert process.returncode == 5
    assert took_s < 10
    (line,) = [line for line in service.log.read_text().splitlines() if "hits were lost during shutdown" in line]
    assert 0 < int(line.partition("lost=")[2].split()[0]) <= len(paths)

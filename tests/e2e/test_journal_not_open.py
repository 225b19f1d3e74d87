"""A journal that cannot be opened, and stops on a full disk: what clients and operators see."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from http.client import HTTPConnection
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
#: The journal reserves half of the room that it finds at a start; the ledger gets the rest.
FIRST_ROOM_BYTES = 16 * MIB
#: Room that each of two later starts finds in addition.
MORE_ROOM_BYTES = 12 * MIB
#: More than the room for a stop, which is a part of what the journal reserves.
STOP_BYTES = 8 * MIB
#: A hit with this header takes two pages of the journal. Its event has nothing of it.
LONG_HEADER = {"Purpose": ("\N{GRINNING FACE}" * 1024).encode()}
HIT_BYTES = 2 * 4096


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


@pytest.mark.timeout(300)
def test_a_front_end_without_its_journal_and_stops_beyond_its_reserve(tmp_path: Path) -> None:
    """Links redirect, the API gets 503 at once, and the hits arrive once the journal can be opened.

    The same service is then stopped while its disk is full, the reserve used up and the memory fuller than the room for
    a stop. The log has the exact number of lost hits, and the exit code is 5; with `--spill-dir`, none is lost.
    """
    spill = tmp_path / "spill"
    spill.mkdir()
    with small_disk("tmpfs", FIRST_ROOM_BYTES + 2 * MORE_ROOM_BYTES, tmp_path) as disk:
        ballast = [disk.path / "ballast 1", disk.path / "ballast 2"]
        for file in ballast:
            file.write_bytes(bytes(MORE_ROOM_BYTES))
        service = Service(disk.path / "data")
        service.log = tmp_path / "log"
        try:
            service.start()
            answered = _answers_without_its_journal(service)
            answered += _clicks_beyond_the_reserve(service, disk)
            lost = _lost_at_the_stop(service)
            disk.free()
            ballast.pop().unlink()
            service.environment["FEEDBACK_LOOPS_SPILL_DIR"] = str(spill)
            service.start()
            eventually(lambda: _recorded(service) == answered - lost, 60, "all others are recorded")

            answered += _clicks_beyond_the_reserve(service, disk)
            _spills_at_the_stop(service, spill)
            disk.free()
            ballast.pop().unlink()
            service.start()
            eventually(lambda: _recorded(service) == answered - lost, 60, "what was spilled is recorded")
            eventually(lambda: not list(spill.iterdir()), 20, "nothing is left in the spill")
        finally:
            service.end()


def _answers_without_its_journal(service: Service) -> int:
    """Returns the number of clicks."""
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
    return 1


def _answer(service: Service, path: str) -> httpx.Response | None:
    try:
        return service.http.get(path, timeout=5)
    except httpx.HTTPError:
        return None


def _clicks_beyond_the_reserve(service: Service, disk: SmallDisk) -> int:
    """Fills the disk, and clicks until the memory holds more than a stop can write. Returns the number of clicks."""
    (path,) = service.account().click_paths(1)
    log_bytes = service.log.stat().st_size
    disk.fill()
    with closing(HTTPConnection("127.0.0.1", service.port, timeout=30)) as connection:

        def click(count: int) -> int:
            for _ in range(count):
                connection.request("GET", path, headers=LONG_HEADER)
                with connection.getresponse() as answer:
                    answer.read()
                    assert answer.status == 302
            return count

        clicks = 0
        while b"reserve is used up" not in service.log.read_bytes()[log_bytes:]:
            clicks += click(20)
        clicks += click(STOP_BYTES // HIT_BYTES)
    metrics = service.http.get("/metrics", headers=service.admin).text
    assert "\nfeedback_loops_journal_reserve_used 1.0\n" in metrics
    assert "\nfeedback_loops_journal_trouble 1.0\n" in metrics
    return clicks


def _lost_at_the_stop(service: Service) -> int:
    """Stops the service in time, and returns the number in its log."""
    assert _exit_code(service) == 5
    (line,) = [line for line in service.log.read_text().splitlines() if "hits were lost during shutdown" in line]
    lost = int(line.partition("lost=")[2].split()[0])
    assert lost > 0
    return lost


def _spills_at_the_stop(service: Service, spill: Path) -> None:
    assert _exit_code(service) == 0
    assert list(spill.iterdir())
    assert service.log.read_text().count("hits were lost during shutdown") == 1  # by the earlier stop


def _exit_code(service: Service) -> int:
    """Stops the service, which must end before systemd would kill it."""
    process = service.serve_process
    assert process is not None
    service.terminate(timeout_s=15)
    return process.returncode


def _recorded(service: Service) -> int:
    """The number of clicks in the ledger."""
    with closing(sqlite3.connect(f"file:{service.data_dir / 'ledger.sqlite'}?mode=ro", uri=True, timeout=10)) as ledger:
        return int(ledger.execute("SELECT count(*) FROM events").fetchone()[0])

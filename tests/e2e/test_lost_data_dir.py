"""A data directory that is deleted or replaced while the real service runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from tests.chaos.clicks import USER_AGENT
from tests.paths import ROOT
from tests.service import Account, Service, Sink, eventually

pytestmark = [pytest.mark.ray, pytest.mark.timeout(180)]

#: The `serve` process ended without its data directory.
LOST = 4
CLICKS = 301


@pytest.fixture
def ready(fresh: Service, sink: Sink) -> tuple[Service, Sink, Account, list[str]]:
    """A service that has delivered a click, an account with a verified loop, and paths of tracked links."""
    fresh.start()
    account = fresh.account()
    account.loop(sink)
    first, *paths = account.click_paths(CLICKS)
    # So that all processes have opened the ledger. One that has not by then cannot, and hits wait for it.
    click(fresh, [first])
    eventually(lambda: sink.arrivals()[0], 20, "the first click is delivered")
    return fresh, sink, account, paths


def delete(path: Path) -> None:
    """Deletes a directory in which files are made meanwhile."""
    while path.exists():
        shutil.rmtree(path, ignore_errors=True)


def click(service: Service, paths: list[str]) -> None:
    for path in paths:
        assert service.http.get(path, headers={"User-Agent": USER_AGENT}).status_code == 302


def wait_until_noticed(service: Service) -> None:
    """The operator sees the reason within seconds, and so does everybody else in other words."""
    eventually(lambda: str(service.data_dir) in service.problems(), 5, "the loss is noticed")
    answer = service.http.get("/readyz")
    assert answer.status_code == 503
    assert "the data directory of the service was deleted or replaced" in answer.json()["detail"]
    assert str(service.data_dir) not in answer.text
    assert "feedback_loops_data_dir_lost 1.0" in service.http.get("/metrics").text


def records(service: Service, action: str) -> list[str]:
    return [line for line in service.log.read_text().splitlines() if f"action={action}" in line]


def stop(service: Service) -> int:
    assert service.serve_process is not None
    service.terminate()
    return service.serve_process.returncode


def test_a_deleted_directory(ready: tuple[Service, Sink, Account, list[str]]) -> None:
    """Deleted under load: hits are answered and delivered, all that asks for durability is refused, nothing returns."""
    service, sink, account, paths = ready
    deleting = threading.Thread(target=delete, args=(service.data_dir,))
    deleting.start()
    click(service, paths[:250])
    deleting.join()
    wait_until_noticed(service)
    click(service, paths[250:])

    eventually(lambda: all(sink.arrivals()[:CLICKS]), 20, "the clicks are delivered")
    report = {"type": "failure", "reference": "none"}
    assert account.call("POST", "/v1/events", json=report).status_code == 503
    mail = {"content": b"Subject: x\n\n" + b"y" * 200_000, "headers": {"Content-Type": "message/rfc822"}}
    assert account.call("POST", "/v1/mime", **mail).status_code == 503
    refused = account.call("POST", "/v1/messages", json={"recipient": "a@b.example"})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert account.call("GET", "/v1/feedback-loops").status_code == 200
    assert stop(service) == LOST
    assert not service.data_dir.exists()
    assert len(records(service, "journal_lost")) == 1
    assert " entries=0 " in records(service, "journal_lost")[0]


def copy_open_file(process: psutil.Process, name: str, folder: Path) -> None:
    """Copies a file that was deleted and is open in the process."""
    opened = [fd for fd in Path(f"/proc/{process.pid}/fd").iterdir() if fd.readlink().name == f"{name} (deleted)"]
    shutil.copyfile(opened[0], folder / name)


def command(*arguments: str | Path) -> None:
    """Runs `feedback-loops` with these arguments."""
    subprocess.run([sys.executable, "-m", "api.cli.main", *map(str, arguments)], cwd=ROOT, check=True)


def test_what_the_journal_holds_at_the_stop_is_reported_and_can_be_saved(
    ready: tuple[Service, Sink, Account, list[str]], tmp_path: Path
) -> None:
    """Without a gateway, hits stay in the open file, and the log says how many end with it.

    With copies of the open files, as the how-to says, the service continues without a loss.
    """
    service, sink, _, paths = ready
    command("backup", tmp_path / "copy", "--data-dir", service.data_dir)
    delete(service.data_dir)
    wait_until_noticed(service)
    (gateway,) = service.processes("gateway")
    gateway.kill()
    eventually(lambda: not service.processes("gateway"), 5, "the gateway has ended")
    click(service, paths[:7])
    saved = tmp_path / "saved"
    saved.mkdir()
    copy_open_file(service.processes("front")[0], "data.mdb", saved)
    for name in ("ledger.sqlite", "ledger.sqlite-wal"):
        copy_open_file(service.processes("ledger")[0], name, saved)

    assert stop(service) == LOST
    assert " entries=7 " in records(service, "journal_lost")[0]
    assert not service.data_dir.exists()

    command("restore", tmp_path / "copy", "--data-dir", service.data_dir, "--no-erasures")
    for name in ("ledger.sqlite", "ledger.sqlite-wal"):
        shutil.copy(saved / name, service.data_dir)
    service.start()
    command("journal", "import", saved, "--data-dir", service.data_dir)
    eventually(lambda: all(sink.arrivals()[:8]), 30, "the saved clicks are delivered")


def test_a_replaced_directory_stays_as_it_is(ready: tuple[Service, Sink, Account, list[str]]) -> None:
    """No process writes to the new directory or starts on it; moved back, the old one is used again."""
    service, sink, account, paths = ready
    aside = service.data_dir.with_name("aside")
    service.data_dir.rename(aside)
    service.data_dir.mkdir()
    for name in ("run", "journal", "logs"):
        (service.data_dir / name).mkdir()
    (service.data_dir / "run/settings.json").write_text(json.dumps({}))
    (service.data_dir / "lock").touch()
    before = contents(service.data_dir)
    wait_until_noticed(service)
    click(service, paths[:3])
    for role in ("ledger", "gateway", "front", "gcs"):
        for process in service.processes(role):
            process.kill()
    eventually(lambda: records(service, "child_died"), 10, "the end of the front end is noticed")

    assert contents(service.data_dir) == before
    shutil.rmtree(service.data_dir)
    aside.rename(service.data_dir)
    service.wait_ready(60)
    click(service, paths[3:6])
    eventually(lambda: all(sink.arrivals()[:7]), 20, "the clicks before and after are delivered")
    assert account.call("POST", "/v1/messages", json={"recipient": "a@b.example"}).status_code == 201
    assert stop(service) == 0


def contents(path: Path) -> list[tuple[str, int, int]]:
    """Every file with its size and its time of change."""
    return [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(path.rglob("*"))]

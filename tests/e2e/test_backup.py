"""Backup of a running service, and a service that continues from it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.service import Service, eventually, running

pytestmark = pytest.mark.ray


def command(*arguments: str | Path) -> None:
    """Runs `feedback-loops` with these arguments."""
    subprocess.run([sys.executable, "-m", "api.cli.main", *map(str, arguments)], cwd=ROOT, check=True)


def test_a_service_continues_from_a_backup(tmp_path: Path) -> None:
    """Every click answered before a backup of the running service arrives once after a restore, and old links work.

    Some clicks were in the ledger, waiting for a dead handler, and some only in the journal.
    """
    with running(tmp_path / "data") as (service, sink):
        account = service.account()
        account.loop(sink)
        paths = account.click_paths(60)
        sink.command("vanish")
        for path in paths[:30]:
            assert service.http.get(path).status_code == 302
        [ledger] = service.processes("ledger")
        eventually(lambda: len(account.call("GET", "/v1/events", params={"limit": 100}).json()["data"]) == 30, 20, "30")
        ledger.suspend()
        for path in paths[30:50]:
            assert service.http.get(path).status_code == 302
        command("backup", tmp_path / "copy", "--data-dir", service.data_dir)
        service.kill()

        command("restore", tmp_path / "copy", "--data-dir", tmp_path / "restored", "--no-erasures")
        sink.command("accept")
        again = Service(tmp_path / "restored")
        try:
            again.start()
            for path in paths[50:]:
                assert again.http.get(path).status_code == 302
            eventually(lambda: sink.stats()["unique"] == 60, 60, "all 60 clicks arrived")
            assert sink.stats()["posts"] == 60
        finally:
            again.end()

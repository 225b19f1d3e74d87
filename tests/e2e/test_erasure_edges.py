"""Erasures and front ends on the real service: one that is off, and a backup from before."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from actors.gateway.client import GatewayClient
from actors.installation.erasure_file import FILE, read_erasures
from actors.installation.key_file import KeyFile
from actors.ledger.key_ring_store import SQLiteKeyRingStore
from actors.settings.data_dir import gateway_socket_path
from api.erasures.files import ErasureFiles
from api.erasures.watch import ErasureWatch
from api.journal.journal import Journal
from domain.key_ring import FrontEndKeys
from tests.erasures import completed_erasure, erase, shown_erasure
from tests.paths import ROOT
from tests.personal_traces import files_of, where
from tests.service import Service, eventually, running

pytestmark = [pytest.mark.ray, pytest.mark.timeout(240)]

EMAIL: Final = "okapi.zebra4471@kvx-edges.example"


def command(*arguments: str | Path) -> None:
    """Runs `feedback-loops` with these arguments."""
    line = [sys.executable, "-m", "api.cli.main", *map(str, arguments)]
    subprocess.run(line, cwd=ROOT, check=True, capture_output=True)


class OtherMachine:
    """The front end of another machine: its own data directory and journal, and the gateway of the first one."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service = service
        self.folder = folder
        folder.mkdir()
        _, ring = KeyFile(service.data_dir).read()
        KeyFile(folder).write("other", ring)
        assert ring is not None
        keys = FrontEndKeys(front_end="other", name="edge-2", generation=ring.generation, master="", at_ms=1)
        SQLiteKeyRingStore(service.data_dir / "ledger.sqlite").confirm(keys)

    def do_its_part(self) -> None:
        """Starts, does its part of all erasures, and stops."""

        async def run() -> None:
            client = GatewayClient(gateway_socket_path(self.service.data_dir))
            journal = Journal.open(self.folder / "journal", 1 << 24)
            try:
                watch = ErasureWatch(client, journal, KeyFile(self.folder), ErasureFiles(self.folder, None))
                assert await watch.check()
            finally:
                await client.close()
                await journal.close()

        asyncio.run(run())


def test_an_erasure_waits_for_a_front_end_that_is_off(tmp_path: Path) -> None:
    """It names the front end, and completes once that is back, or is forgotten."""
    with running(tmp_path / "data") as (service, _):
        account = service.account()
        account.messages([{"recipient": EMAIL, "links": ["https://shop.example/"]}])
        other = OtherMachine(service, tmp_path / "other")
        first = erase(account, EMAIL)
        eventually(lambda: shown_erasure(account, first)["waiting_for"] == ["edge-2"], 30, "it waits for edge-2", 0.2)
        assert shown_erasure(account, first)["state"] == "running"
        other.do_its_part()
        completed_erasure(account, first)

        account.messages([{"recipient": EMAIL, "links": ["https://shop.example/"]}])
        second = erase(account, EMAIL)
        assert second != first
        eventually(lambda: shown_erasure(account, second)["waiting_for"] == ["edge-2"], 30, "it waits again", 0.2)
        admin = {"FEEDBACK_LOOPS_URL": f"http://127.0.0.1:{service.port}"}
        line = [sys.executable, "-m", "api.cli.main", "edges", "forget", "edge-2", "--yes", "--key", "test-admin-key"]
        subprocess.run(line, cwd=ROOT, check=True, capture_output=True, env={"PYTHONPATH": str(ROOT), **admin})
        completed_erasure(account, second)

        # It was only unplugged: it does its part of what it has missed.
        other.do_its_part()
        assert list(read_erasures(other.folder / FILE).lines) == [first, second]


def test_a_restored_backup_from_before_an_erasure_brings_nothing_back(tmp_path: Path) -> None:
    """The person is erased again before anything is delivered, and no file has a trace at the end."""
    outside = tmp_path / "erasures.ndjson"
    settings = {"FEEDBACK_LOOPS_ERASURES_FILE": str(outside)}
    with running(tmp_path / "data", **settings) as (service, sink):
        account = service.account()
        account.loop(sink)
        sink.command("vanish")
        made = account.messages([{"recipient": EMAIL, "id": "m-1", "links": ["https://shop.example/"]}])
        other = account.messages([{"recipient": "jane@kvx-edges.example", "links": ["https://shop.example/"]}])
        for message in (*made, *other):
            (link,) = message["links"].values()
            assert service.http.get(f"/{link.split('/', 3)[3]}").status_code == 302
        eventually(lambda: len(account.call("GET", "/v1/events").json()["data"]) == 2, 20, "both are recorded")
        command("backup", tmp_path / "copy", "--data-dir", service.data_dir)
        assert where(files_of(tmp_path / "copy"), [EMAIL])
        erasure_id = erase(account, EMAIL)
        completed_erasure(account, erasure_id)
        assert list(read_erasures(outside).lines) == [erasure_id]
        assert read_erasures(service.data_dir / FILE).lines == read_erasures(outside).lines
        service.kill()

        command("restore", tmp_path / "copy", "--data-dir", tmp_path / "restored", "--erasures-file", outside)
        sink.command("accept")
        again = Service(tmp_path / "restored")
        try:
            again.start()
            account.service = again
            assert completed_erasure(account, erasure_id)["counts"]["messages"] == 1
            eventually(lambda: sink.stats()["posts"] == 1, 20, "the event about the other person is delivered")
            assert account.call("GET", "/v1/messages/m-1").json()["recipient"] is None
            events = account.call("GET", "/v1/events").json()["data"]
            assert sorted(EMAIL in json.dumps(event) for event in events) == [False, False]
            again.terminate()
            assert sink.stats()["posts"] == 1
            assert where(files_of(tmp_path / "restored"), [EMAIL]) == {}
        finally:
            again.end()

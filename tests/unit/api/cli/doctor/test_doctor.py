"""The doctor's findings; everything that the tests break is really broken."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from actors.adapters.resolver import HandlerResolver
from actors.commands.intake import encode_entry
from actors.ledger.sqlite.connection import open_writer
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.schema import SCHEMA_VERSION, migrate
from actors.processes.runtime_dir import locked
from actors.settings import Settings
from actors.settings.data_dir import DataDir, runtime_dir_path
from actors.settings.data_dir_marker import MARKER_FILE, Marker
from api.cli.doctor import command, machine, network, stores
from api.cli.doctor.disk import check_disk
from api.cli.doctor.findings import Finding, Level, carried_out
from api.cli.doctor.handler import check_handler
from api.cli.doctor.service import check_service
from api.journal.journal import Journal
from domain.breaker import OPEN
from domain.delivery import LaneHealth
from domain.handler_policy import HandlerPolicy, parse_networks
from domain.tracking import TrackingHit
from domain.values import id_text
from tests.contract.ledger_facts import Store, event, failed, outcome
from tests.contract.sqlite_store import sqlite_stores
from tests.keys import install
from tests.ports import free_port
from tests.raw_handler import OK, answering, make_certificates, raw_handler

LOCAL = HandlerPolicy(parse_networks("127.0.0.0/8", "networks"))


def levels(findings: Sequence[Finding]) -> list[Level]:
    return [finding.level for finding in findings]


def only_finding(findings: Sequence[Finding], level: Level) -> Finding:
    """The only finding, which has this level; every problem comes with advice."""
    (found,) = findings
    assert found.level is level, found
    assert not found.found.endswith(".")
    assert (len(found.advice) > 10) is (level is not Level.OK)
    return found


async def empty_name_server(_host: str) -> list[str]:
    """A name server without any names."""
    return []


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory as the first start creates it."""
    path = tmp_path / "data"
    with DataDir.open(path) as made:
        made.record_installation("ab12cd34")
        install(path)
        made.admin_key(None)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with sqlite_stores(tmp_path) as made:
        yield made


# --- the machine


def test_a_sound_directory_is_ok(data_dir: Path) -> None:
    """A directory right after the first start has no problems."""
    found = [*machine.check_data_dir(data_dir), *machine.check_keys(data_dir), *check_disk(data_dir, 0, 0)]

    assert set(levels(found)) == {Level.OK}
    assert len(found) == 4


def test_the_installation_and_its_age_are_shown(data_dir: Path) -> None:
    """They tell a wrong volume from the right one."""
    assert "installation ab12cd34, made today" in only_finding(machine.check_data_dir(data_dir), Level.OK).found
    old = (datetime.now(UTC) - timedelta(days=40, hours=1)).isoformat()
    (data_dir / MARKER_FILE).write_text(Marker(old, "ab12cd34").text())
    assert "made 40 days ago" in only_finding(machine.check_data_dir(data_dir), Level.OK).found


def test_an_empty_directory_is_a_warning_and_a_foreign_one_a_problem(tmp_path: Path) -> None:
    """An empty one may be a volume that is not mounted; the service never uses one with other files."""
    assert "Mount its volume" in only_finding(machine.check_data_dir(tmp_path), Level.WARNING).advice
    (tmp_path / "lock").touch()
    only_finding(machine.check_data_dir(tmp_path), Level.WARNING)
    (tmp_path / "letter.txt").touch()
    assert "another program" in only_finding(machine.check_data_dir(tmp_path), Level.PROBLEM).found


def test_a_service_that_has_lost_its_directory_is_found(data_dir: Path) -> None:
    """A new directory at the path is not taken for that of the service, which still runs."""
    with locked(runtime_dir_path(data_dir)), DataDir.open(data_dir):
        assert only_finding(machine.check_data_dir(data_dir), Level.OK)
        data_dir.rename(data_dir.with_name("aside"))
        assert "Do not stop it" in only_finding(machine.check_data_dir(data_dir), Level.PROBLEM).advice
        data_dir.mkdir()
        (data_dir / "lock").touch()
        assert "was deleted, moved or replaced" in only_finding(machine.check_data_dir(data_dir), Level.PROBLEM).found


def test_open_permissions_are_found(data_dir: Path) -> None:
    """A directory that others can enter is a warning, which names the command that closes it."""
    data_dir.chmod(0o755)

    assert "chmod 700" in only_finding(machine.check_data_dir(data_dir), Level.WARNING).advice


def test_a_path_that_is_not_a_directory_is_found(tmp_path: Path) -> None:
    """The first start may create a missing directory; a file at its path is a problem."""
    (tmp_path / "file").touch()

    only_finding(machine.check_data_dir(tmp_path / "none"), Level.WARNING)
    only_finding(machine.check_data_dir(tmp_path / "file"), Level.PROBLEM)


@pytest.mark.parametrize(
    ("name", "content", "mode", "word"),
    [
        ("master.key", "ab" * 31, 0o600, "backup"),
        ("admin.key", "short", 0o600, "Remove"),
        ("admin.key", "long-enough-a-key", 0o644, "chmod 600"),
        ("master.key", "\udcff", 0o600, "backup"),
    ],
)
def test_a_damaged_or_readable_key_is_found(data_dir: Path, name: str, content: str, mode: int, word: str) -> None:
    """The advice fits the key, because only one of them can be generated again; the key itself is not shown."""
    path = data_dir / name
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    path.chmod(mode)
    bad = [finding for finding in machine.check_keys(data_dir) if finding.level is Level.PROBLEM]

    assert word in only_finding(bad, Level.PROBLEM).advice
    assert content not in bad[0].found


def test_a_nearly_full_disk_is_found(data_dir: Path) -> None:
    """Little space is a warning, too little a problem (the test moves the limits and not the disk's usage)."""
    only_finding(check_disk(data_dir, little=1.1, too_little=0), Level.WARNING)
    only_finding(check_disk(data_dir, little=1.1, too_little=1.1), Level.PROBLEM)


def test_the_limit_of_open_files_is_that_of_the_service(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a running service, its own limit counts; otherwise, how far a new one could raise it."""
    service = subprocess.Popen(["prlimit", "--nofile=100:256", "sleep", "60"])
    (data_dir / "lock").write_text(f"{service.pid}\n")
    try:
        for _ in range(500):  # until prlimit has set it
            if "256" in Path(f"/proc/{service.pid}/limits").read_text().split("Max open files")[1].splitlines()[0]:
                break
            time.sleep(0.01)
        assert "may open 100 files" in only_finding(machine.check_open_files(data_dir, runs=True), Level.WARNING).found
    finally:
        service.kill()
        service.wait()
    monkeypatch.setattr(machine, "raise_limit", lambda: 4096)
    assert "may open 4096 files" in only_finding(machine.check_open_files(data_dir, runs=False), Level.OK).found


def test_a_port_in_use_is_found() -> None:
    """A port in use is reported ahead of the start; the port of the running service is not."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        settings = Settings.from_env({}, port=str(port))
        assert "--port" in only_finding(machine.check_port(settings, runs=False), Level.PROBLEM).advice
        assert machine.check_port(settings, runs=True) == []
    only_finding(machine.check_port(settings, runs=False), Level.OK)


def test_a_clock_set_back_is_found(data_dir: Path) -> None:
    """Files with times in the future show it."""
    now_s = (data_dir / "master.key").stat().st_mtime
    os.utime(data_dir / "master.key", (now_s + 3600, now_s + 3600))

    assert "3600 s" in only_finding(machine.check_clock(data_dir, now_s), Level.PROBLEM).found
    assert machine.check_clock(data_dir, now_s + 3600)[0].level is not Level.PROBLEM


def test_a_running_service_is_recognised_by_its_lock(data_dir: Path) -> None:
    """The check does not take the lock from a process that wants it next."""
    assert not machine.is_running(data_dir)
    with DataDir.open(data_dir):
        assert machine.is_running(data_dir)
    assert not machine.is_running(data_dir / "none")


# --- the store and the journal


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "ledger.sqlite"
    with closing(open_writer(path)) as made:
        migrate(made)
    return path


def test_a_sound_ledger_is_ok(ledger: Path, tmp_path: Path) -> None:
    """A sound ledger and a missing one are both fine."""
    only_finding(stores.check_ledger_file(ledger), Level.OK)
    only_finding(stores.check_ledger_file(tmp_path / "none"), Level.OK)


def test_a_migrated_ledger_is_not_mistaken_for_a_new_one(tmp_path: Path) -> None:
    """A start without --store would create an empty ledger."""
    (tmp_path / "ledger.moved.sqlite").touch()

    assert "--store" in only_finding(stores.check_ledger_file(tmp_path / "ledger.sqlite"), Level.PROBLEM).advice


def test_an_sqlite_ledger_is_found_with_store_set(ledger: Path, tmp_path: Path) -> None:
    """A start with --store is refused next to an SQLite ledger that was not migrated."""
    assert "migrate" in only_finding(stores.check_left_behind(tmp_path), Level.PROBLEM).advice
    ledger.unlink()
    assert stores.check_left_behind(tmp_path) == []


def test_a_damaged_ledger_is_found(ledger: Path) -> None:
    """An overwritten page is found by reading the whole file; a file that is not a database, at once."""
    with ledger.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)
    assert "backup" in only_finding(stores.check_ledger_file(ledger), Level.PROBLEM).advice

    ledger.write_bytes(b"not a database, but long enough for a header" * 100)
    only_finding(stores.check_ledger_file(ledger), Level.PROBLEM)


def test_a_ledger_of_another_version_is_found(ledger: Path) -> None:
    """A newer one is a problem; the next start migrates an older one."""
    for version, level in ((SCHEMA_VERSION + 1, Level.PROBLEM), (SCHEMA_VERSION - 1, Level.WARNING)):
        with closing(sqlite3.connect(ledger)) as connection:
            connection.execute(f"PRAGMA user_version = {version}")
        assert str(version) in only_finding(stores.check_ledger_file(ledger), level).found


def test_a_ledger_of_an_unreleased_version_is_found(ledger: Path) -> None:
    """A ledger without our mark of schema versions is a problem that only a new data directory solves."""
    with closing(sqlite3.connect(ledger)) as connection:
        connection.execute("PRAGMA application_id = 0")
    found = only_finding(stores.check_ledger_file(ledger), Level.PROBLEM)

    assert "unreleased version" in found.found
    assert "new data directory" in found.advice


def test_a_locked_ledger_is_found(ledger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that is never released is a problem."""
    monkeypatch.setattr(stores, "LOCK_S", 0.05)
    with closing(sqlite3.connect(ledger, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert "locked" in only_finding(stores.check_ledger_file(ledger), Level.PROBLEM).found
        connection.execute("ROLLBACK")
    only_finding(stores.check_ledger_file(ledger), Level.OK)


def test_waiting_deliveries_are_reported(store: Store) -> None:
    """Handlers that are down, and deliveries that wait although their handler is up, are warnings."""
    tenant = store.account()
    up, down = store.active_loop(tenant), store.active_loop(tenant)
    now_ms = store.clock.ms
    assert levels(stores.check_backlog(store.reader, now_ms)) == [Level.OK, Level.OK]
    store.record(event(tenant, loop_nos=[up.no, down.no]))
    store.outcomes(health=(down.no, LaneHealth(OPEN, now_ms, None, now_ms, 5, now_ms)))
    handlers, late = stores.check_backlog(store.reader, now_ms + 3_600_000)

    assert (handlers.level, late.level) == (Level.WARNING, Level.WARNING)
    assert "of 2 loops, 1 cannot" in handlers.found
    assert "1 deliveries" in late.found
    assert "3600 s" in late.found


def test_an_unreadable_store_is_a_problem(tmp_path: Path) -> None:
    """The doctor reports a finding and not a traceback."""
    only_finding(stores.check_backlog(SQLiteLedgerReader(tmp_path / "none"), 0), Level.PROBLEM)


def hit(at_ms: int) -> bytes:
    made = TrackingHit(at_ms.to_bytes(6, "big") + bytes(10), "open", 1, 1, at_ms, "", "", "", "", "")
    return encode_entry(made)


def test_waiting_hits_are_reported(tmp_path: Path) -> None:
    """The check of the journal changes nothing and forwards nothing."""
    path = tmp_path / "journal"
    only_finding(stores.check_journal(path, 0), Level.OK)

    async def keep() -> None:
        journal = Journal.open(path, 1 << 24)
        await asyncio.gather(*(journal.append(hit(at_ms)) for at_ms in (5_000, 9_000)))
        await journal.close()

    asyncio.run(keep())
    for _ in range(2):
        found = only_finding(stores.check_journal(path, 65_000), Level.WARNING).found
        assert found == "2 answered hits are waiting, the oldest for 60 s"


def test_a_corrupt_journal_is_reported_and_kept(tmp_path: Path) -> None:
    """The doctor reports a journal that a start would move aside, and leaves it in place."""
    path = tmp_path / "journal"
    path.mkdir()
    (path / "data.mdb").write_bytes(b"\0" * 40_000)

    only_finding(stores.check_journal(path, 0), Level.PROBLEM)
    assert (path / "data.mdb").stat().st_size == 40_000


# --- the network


class FakeServiceHandler(BaseHTTPRequestHandler):
    """A service that answers as the class attributes configure it."""

    health = b"{}"
    ready = (200, b'{"status": "ready"}')
    metrics = b""

    def do_GET(self) -> None:
        status, body = {"/readyz": self.ready, "/metrics": (200, self.metrics)}.get(self.path, (200, self.health))
        self.send_response(status)
        self.send_header("Content-Type", "application/problem+json" if status != 200 else "text/plain")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Logs nothing."""


def findings_about_service(
    runs: bool | None = None, instance: str | None = None, admin_key: str | None = None, **how: Any
) -> dict[str, Finding]:
    """Findings about a service with these answers, by check."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Made", (FakeServiceHandler,), how))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}"
        found = asyncio.run(check_service(url, runs=runs, admin_key=admin_key, instance=instance))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    return {finding.check: finding for finding in found}


HEALTHY = b"""feedback_loops_journal_depth 3
feedback_loops_processes{process="ledger"} 1
feedback_loops_ray_nodes{state="alive"} 1
"""
RESERVE_USED = b"feedback_loops_journal_reserve_used 1\nfeedback_loops_journal_reserve_bytes 41943040\n"


def test_a_healthy_service_is_ok() -> None:
    """The service is ready, all actors answer, and no hit has waited for long."""
    found = findings_about_service(metrics=HEALTHY)

    assert {name: finding.level for name, finding in found.items()} == dict.fromkeys(
        ("service", "journal", "actors", "Ray"), Level.OK
    )


@pytest.mark.parametrize(
    ("check", "how", "word"),
    [
        ("service", {"ready": (503, b'{"problems": ["the ledger is away"]}')}, "the ledger is away"),
        ("journal", {"metrics": HEALTHY + b"feedback_loops_journal_oldest_age_seconds 61\n"}, "61 s"),
        ("journal", {"metrics": HEALTHY + b"feedback_loops_journal_trouble 1\n"}, "memory"),
        ("journal", {"metrics": HEALTHY + RESERVE_USED}, "of which 40 MiB are left"),
        ("journal", {"metrics": HEALTHY + b"feedback_loops_hits_lost_total 7\n"}, "7 hits were lost"),
        ("actors", {"metrics": HEALTHY + b'feedback_loops_processes_silent{process="gateway"} 1\n'}, "gateway"),
        ("Ray", {"metrics": b""}, "not responding"),
    ],
)
def test_problems_of_a_running_service_are_reported(check: str, how: dict[str, Any], word: str) -> None:
    """Each kind of trouble is reported by its own check, with advice."""
    assert word in only_finding([findings_about_service(**({"metrics": HEALTHY} | how))[check]], Level.PROBLEM).found


def test_a_stopped_service_is_a_warning_unless_its_lock_is_held() -> None:
    """A service whose lock is held is running, and should answer."""
    url = f"http://127.0.0.1:{free_port()}"

    only_finding(asyncio.run(check_service(url, runs=False)), Level.WARNING)
    only_finding(asyncio.run(check_service(url, runs=True)), Level.PROBLEM)


def test_an_unreachable_ray_is_found() -> None:
    """With no service running, the doctor tries to connect to the cluster's head."""
    only_finding(asyncio.run(network.check_ray_address(f"127.0.0.1:{free_port()}", runs=False)), Level.PROBLEM)
    assert asyncio.run(network.check_ray_address(None, runs=False)) == []


def test_unresolvable_names_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unresolvable tracking host and a silent name server are problems; a bare address is a warning."""
    monkeypatch.setattr(network, "NAMES_S", 0.3)
    silent = f"127.0.0.1:{free_port()}"

    found = asyncio.run(network.check_names("https://track.invalid", silent))
    assert levels(found) == [Level.PROBLEM, Level.PROBLEM]
    assert asyncio.run(network.check_names("http://127.0.0.1:8080", silent))[0].level is Level.WARNING


async def handler(store: Store, url: str, policy: HandlerPolicy = LOCAL) -> dict[str, Finding]:
    """Findings about a new loop with this URL, by check."""

    def made() -> str:
        loop = store.account().loop()
        loop.change_url(url, "t" * 32, store.clock.ms)
        store.append(loop)
        return id_text("fl", loop.id)

    loop_id = await asyncio.to_thread(made)
    found = await check_handler(loop_id, store.reader, HandlerResolver(policy), None)
    return {finding.check: finding for finding in found}


def test_a_handler_that_answers_is_ok(store: Store) -> None:
    """Any response is fine, because scripts may reject GET; the finding also reports that the loop is unverified."""

    async def scenario() -> dict[str, Finding]:
        async with raw_handler(answering(b"HTTP/1.1 405 No\r\nContent-Length: 0\r\n\r\n")) as there:
            return await handler(store, there.url())

    found = asyncio.run(scenario())
    assert "405" in only_finding([found["handler"]], Level.OK).found
    assert "verify" in only_finding([found["loop"]], Level.WARNING).advice


def test_unreachable_handlers_are_distinguished(store: Store, tmp_path: Path) -> None:
    """A refused connection, a banned address, an unknown name and an untrusted certificate have different findings."""

    async def scenario() -> list[Finding]:
        certificates = make_certificates(tmp_path, "127.0.0.1")
        async with raw_handler(answering(OK), tls=certificates.server) as there:
            strange = await handler(store, there.url(scheme="https"))
        refused = await handler(store, f"http://127.0.0.1:{free_port()}/")
        banned = await handler(store, "http://127.0.0.1/", HandlerPolicy(()))
        unknown = await handler(store, "http://handler.invalid/")
        return [found["handler"] for found in (refused, banned, unknown, strange)]

    words = ("no connection", "ALLOWED_HANDLER_NETWORKS", "does not resolve", "certificate")
    for finding, word in zip(asyncio.run(scenario()), words, strict=True):
        assert word in only_finding([finding], Level.PROBLEM).found


def test_the_latest_attempts_are_reported(store: Store) -> None:
    """The report has the handler's last response, and a failure is a warning."""
    tenant = store.account()
    row = store.active_loop(tenant)
    ((delivery_id,),) = store.record(event(tenant, loop_nos=[row.no])).delivery_ids

    def attempts() -> list[Finding]:
        found = asyncio.run(
            check_handler(row.id, store.reader, HandlerResolver(HandlerPolicy(()), empty_name_server), None)
        )
        return [finding for finding in found if finding.check == "attempts"]

    only_finding(attempts(), Level.OK)
    store.outcomes(failed(delivery_id, 1, store.clock.ms + 1))
    assert "503 after 12 ms" in only_finding(attempts(), Level.WARNING).found
    store.outcomes(outcome(delivery_id, 2, at_ms=store.clock.ms + 1))
    assert "200 after 12 ms" in only_finding(attempts(), Level.OK).found


def test_an_unknown_loop_is_reported(store: Store) -> None:
    """An unknown id is a problem with the command's argument."""
    only_finding(
        asyncio.run(check_handler("fl_" + "0" * 32, store.reader, HandlerResolver(LOCAL), None)), Level.PROBLEM
    )


# --- the command


def test_the_exit_code_reports_problems(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command ends with 0 if there are only warnings, with 1 if there is a problem; `--json` prints one object."""
    port = str(free_port())
    environment = {"FEEDBACK_LOOPS_PORT": port, "FEEDBACK_LOOPS_DATA_DIR": str(data_dir)}
    code = command.run(["--json"], environment)
    report = json.loads(capsys.readouterr().out)
    assert {f["check"] for f in report["findings"]} >= {
        "data directory",
        "keys",
        "disk",
        "clock",
        "port",
        "DNS",
        "store",
    }
    assert (code == 0) is report["ok"]

    (data_dir / "ledger.sqlite").write_bytes(b"no database" * 1000)
    assert command.run([], environment) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("problem store") and "backup" in line for line in lines)


def test_wrong_settings_are_found_first(tmp_path: Path) -> None:
    """Each wrong setting is a problem with its name; nothing else can be checked until they are right."""
    options = argparse.Namespace(data_dir=str(tmp_path), loop=None, url=None, json=False)
    (found,) = asyncio.run(command.examine(options, {"FEEDBACK_LOOPS_PORT": "http"}))

    assert (found.check, found.level) == ("settings", Level.PROBLEM)
    assert "FEEDBACK_LOOPS_PORT" in found.found


def test_a_check_that_fails_hides_no_other() -> None:
    """An exception in a check becomes a finding."""

    async def broken() -> Sequence[Finding]:
        raise ZeroDivisionError("of all things")

    assert "ZeroDivisionError" in only_finding(asyncio.run(carried_out("x", broken)), Level.PROBLEM).found

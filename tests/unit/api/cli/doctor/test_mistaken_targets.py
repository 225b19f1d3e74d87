"""Checks of a service, a store or a disk that looks fine and is not the right one, or not usable."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from actors.ledger.sqlite.connection import open_writer
from actors.ledger.sqlite.schema import migrate
from actors.settings import Settings
from actors.settings.store_place import store_place
from api.cli.doctor import stores
from api.cli.doctor.disk import check_reserve
from api.cli.doctor.findings import Finding, Level
from api.cli.running_service import running_service, written_url
from tests.small_disk import small_disk
from tests.unit.api.cli.doctor.test_doctor import (
    HEALTHY,
    FakeServiceHandler,
    findings_about_service,
    levels,
    only_finding,
)

MIB = 1 << 20
STORE = "postgresql://ann:secret@db.example/feedback"


#: The keys that the service of another data directory has got.
KEYS: list[str] = []


def keep_key(handler: FakeServiceHandler) -> None:
    KEYS.append(handler.headers.get("Authorization", ""))
    FakeServiceHandler.do_GET(handler)


def about(instance: str | None, *, runs: bool = True) -> list[Finding]:
    """Findings about a service whose name is `theirs`, by someone who expects `instance`."""
    health = b'{"status": "ok", "instance": "theirs"}'
    answers = {"do_GET": keep_key, "health": health, "metrics": HEALTHY}
    return list(findings_about_service(runs=runs, instance=instance, admin_key="fla_secret", **answers).values())


def test_another_service_is_found_and_gets_no_key() -> None:
    """Only the service with this data directory counts as it; nothing is said about the other one's journal."""
    assert all(level is Level.OK for level in levels(about("theirs")))
    assert "Bearer fla_secret" in KEYS

    KEYS.clear()
    assert "another service" in only_finding(about("ours"), Level.PROBLEM).found
    assert "Bearer fla_secret" not in KEYS


def test_a_service_that_answers_for_a_directory_without_one_is_found() -> None:
    """The lock of the data directory says that no service runs there."""
    found = only_finding(about(None, runs=False), Level.PROBLEM).found
    assert "no service runs on this data directory" in found


def test_a_wrong_store_in_the_environment_is_found() -> None:
    """Compared are user, hosts and database; passwords are neither compared nor shown."""
    used = store_place(STORE)

    assert stores.check_same_store(used, "postgresql://ann@DB.example:5432/feedback?sslmode=require") is None
    assert stores.check_same_store(None, None) is None
    for named in (None, "postgresql://ann:secret@db.example/other", "postgresql://bob@db.example/feedback"):
        finding = stores.check_same_store(used, named)
        assert finding is not None
        assert finding.level is Level.PROBLEM
        assert "secret" not in finding.found
    found = stores.check_same_store(None, STORE)
    assert found is not None
    assert "uses SQLite" in found.found


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://db/x", "db:5432/x"),
        ("postgresql://a:b@db1,DB2:5433/x?password=p&sslmode=require", "a@db1:5432,db2:5433/x"),
        ("postgresql://[::1]/x", "[::1]:5432/x"),
        ("postgresql:///x?host=/run/pg&user=u", "/x host=/run/pg user=u"),
    ],
)
def test_the_place_of_a_store(url: str, place: str) -> None:
    """It has what names the database, and no secret."""
    assert store_place(url) == place


def test_the_settings_of_a_service_are_read_with_the_secrets_of_the_caller(tmp_path: Path) -> None:
    """The file of a running service has no secrets; its URL is one on this machine."""
    own = Settings.from_env({"FEEDBACK_LOOPS_STORE": STORE}, data_dir=str(tmp_path))
    assert running_service(tmp_path, own) is None
    (tmp_path / "run").mkdir()
    theirs = Settings.from_env({}, data_dir=str(tmp_path), host="0.0.0.0", port="1234").with_instance("abc")
    (tmp_path / "run" / "settings.json").write_text(json.dumps(theirs.to_dict() | {"store_place": "db:5432/x"}))

    found = running_service(tmp_path, own)

    assert found is not None
    assert (found.settings.port, found.settings.instance, found.settings.store) == (1234, "abc", STORE)
    assert found.store_place == "db:5432/x"
    assert written_url(tmp_path) == "http://127.0.0.1:1234"


def test_a_full_disk_is_found(tmp_path: Path) -> None:
    """SQLite can be opened and locked on it, but nothing can be written."""
    with small_disk("tmpfs", 4 * MIB, tmp_path) as disk:
        path = disk.path / "ledger.sqlite"
        with closing(open_writer(path)) as made:
            migrate(made)
        settings = Settings.from_env({}, data_dir=str(disk.path))
        assert levels(stores.check_ledger_file(path)) == [Level.OK]
        assert levels(check_reserve(settings)) == [Level.OK]

        disk.fill()

        assert "No space left" in only_finding(stores.check_ledger_file(path), Level.PROBLEM).found
        assert "is full" in only_finding(check_reserve(settings), Level.PROBLEM).found
        assert {entry.name for entry in disk.path.iterdir()} <= {"ledger.sqlite", "filler"}


def test_a_file_system_without_a_reserve_is_found(tmp_path: Path) -> None:
    """On ramfs, fallocate(2) is not supported; and a reserve may be turned off."""
    with small_disk("ramfs", MIB, tmp_path) as disk:
        settings = Settings.from_env({}, data_dir=str(disk.path))
        assert "does not support fallocate" in only_finding(check_reserve(settings), Level.WARNING).found
    without = Settings.from_env({}, data_dir=str(tmp_path), journal_reserve="0")
    only_finding(check_reserve(without), Level.WARNING)


def test_a_directory_for_a_last_write_is_checked(tmp_path: Path) -> None:
    """It must exist, and should be on another file system."""

    def spill(folder: Path) -> list[Finding]:
        settings = Settings.from_env({}, data_dir=str(tmp_path), spill_dir=str(folder))
        return [finding for finding in check_reserve(settings) if finding.check == "spill"]

    assert spill(tmp_path / "none")[0].level is Level.PROBLEM
    assert spill(tmp_path)[0].level is Level.WARNING
    with small_disk("tmpfs", MIB, tmp_path) as disk:
        assert spill(disk.path)[0].level is Level.OK

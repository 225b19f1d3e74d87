"""`actors.processes.backup`: contents of a backup, and backups that are refused."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from actors.ledger import factory
from actors.ledger.sqlite.schema import SCHEMA_VERSION
from actors.ledger.sqlite.writer import SQLiteLedgerWriter
from actors.processes.backup import JOURNAL, LEDGER, MANIFEST, back_up, restore
from actors.settings.data_dir import DataDir
from api.cli.commands import backup as backup_command
from api.cli.commands import restore as restore_command
from api.journal.lmdb_store import LmdbStore, Removals
from domain.account import Account
from domain.errors import Conflict, InvalidInput, StoreError, StoreUnavailable
from tests.contract.ledger_facts import stored
from tests.contract.sqlite_store import read_log

NOW = "2026-02-02T02:40:00+00:00"
HITS = [(1, b"one"), (2, b"two")]


@pytest.fixture
def used_directory(tmp_path: Path) -> Iterator[Path]:
    """A data directory in use, whose ledger is open (another process may have its journal open)."""
    data_dir = tmp_path / "data"
    with DataDir.open(data_dir) as made:
        made.master_key(b"")
        made.admin_key(None)
        journal = LmdbStore(data_dir / "journal", 16 << 20)
        journal.write(3, HITS, Removals([], []))
        journal.close()
        ledger = SQLiteLedgerWriter(data_dir / LEDGER)
        asyncio.run(ledger.append(stored(Account.open(uuid4(), "Acme", 1))))
        yield data_dir
        asyncio.run(ledger.close())


def test_a_backup_has_everything_that_must_survive(used_directory: Path, tmp_path: Path) -> None:
    """The restored directory has the same keys, hits of the journal and log of the ledger, only for its owner."""
    made = back_up(used_directory, tmp_path / "copy", NOW)
    restored = tmp_path / "restored"

    assert made == restore(tmp_path / "copy", restored)
    for folder in (tmp_path / "copy", restored):
        assert [path for path in (folder, *folder.rglob("*")) if path.stat().st_mode & 0o077] == []
    assert sorted(made.sizes) == sorted(["master.key", "admin.key", JOURNAL, LEDGER])
    for name in ("master.key", "admin.key"):
        assert (restored / name).read_text() == (used_directory / name).read_text()
    journal = LmdbStore(restored / "journal", 16 << 20)
    assert (journal.read(0, 10, 1000), journal.next_seq()) == (HITS, 3)
    journal.close()
    assert read_log(restored / LEDGER) == read_log(used_directory / LEDGER) != []


def test_the_copy_is_of_one_moment(used_directory: Path, tmp_path: Path) -> None:
    """It has everything committed before the copy began, and nothing committed later."""
    back_up(used_directory, tmp_path / "copy", NOW)
    before = read_log(tmp_path / "copy" / LEDGER)
    ledger = SQLiteLedgerWriter(used_directory / LEDGER)
    asyncio.run(ledger.append(stored(Account.open(uuid4(), "Later", 2))))
    asyncio.run(ledger.close())

    assert read_log(used_directory / LEDGER)[:-1] == before == read_log(tmp_path / "copy" / LEDGER)


def test_a_directory_without_its_ledger(
    used_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Keys and journal are backed up, and the result reports that the ledger was not."""
    for path in used_directory.glob("ledger.sqlite*"):
        path.rename(tmp_path / path.name)
    copy = str(tmp_path / "copy")

    assert backup_command.run([copy, "--data-dir", str(used_directory)], {}) == 0
    assert "pg_dump" in capsys.readouterr().out
    assert restore_command.run([copy], {"FEEDBACK_LOOPS_DATA_DIR": str(tmp_path / "restored")}) == 0
    output = capsys.readouterr().out
    assert "restore that too" in output
    assert "FEEDBACK_LOOPS_STORE=… feedback-loops serve" in output
    with pytest.raises(Conflict, match="--store"):
        factory.refuse_moved_ledger(tmp_path / "restored")


def test_a_path_without_a_data_directory_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error reports a mistyped path, and nothing is created."""
    with pytest.raises(InvalidInput, match=r"has no master\.key"):
        back_up(tmp_path / "nowhere", tmp_path / "copy", NOW)

    assert not (tmp_path / "copy").exists()
    assert backup_command.run([str(tmp_path / "copy"), "--data-dir", str(tmp_path)], {}) == 1
    assert "has no master.key" in capsys.readouterr().err


def test_a_backup_never_overwrites_anything(used_directory: Path, tmp_path: Path) -> None:
    """A target that is not empty is refused and left unchanged."""
    back_up(used_directory, tmp_path / "copy", NOW)

    with pytest.raises(InvalidInput, match="is not empty"):
        back_up(used_directory, tmp_path / "copy", NOW)


def test_an_unfinished_backup_cannot_be_restored(tmp_path: Path) -> None:
    """The backup in this test fails because the ledger is damaged."""
    with DataDir.open(tmp_path / "data") as made:
        made.master_key(b"")
    (tmp_path / "data" / LEDGER).write_bytes(b"no database" * 1000)

    with pytest.raises(StoreUnavailable, match="cannot be backed up"):
        back_up(tmp_path / "data", tmp_path / "copy", NOW)
    with pytest.raises(InvalidInput, match="is not a complete backup"):
        restore(tmp_path / "copy", tmp_path / "restored")


@pytest.mark.parametrize("name", ["master.key", "admin.key", JOURNAL, LEDGER])
def test_one_changed_byte_is_detected(used_directory: Path, tmp_path: Path, name: str) -> None:
    """A damaged backup is refused before anything is written."""
    back_up(used_directory, tmp_path / "copy", NOW)
    path = tmp_path / "copy" / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(InvalidInput, match=f"{name} is damaged"):
        restore(tmp_path / "copy", tmp_path / "restored")
    assert not (tmp_path / "restored").exists()


@pytest.mark.parametrize(
    ("manifest", "error", "word"),
    [
        ("{", InvalidInput, "is damaged"),
        ("[]", InvalidInput, "is damaged"),
        ('{"format": 2, "schema_version": 1, "files": {"master.key": {}}}', InvalidInput, "is damaged"),
        ('{"format": 1, "schema_version": 5, "files": {}}', StoreError, "unreleased version"),
        ('{"format": 3, "schema_version": 1, "files": {}}', StoreError, "newer program"),
        (f'{{"format": 2, "schema_version": {SCHEMA_VERSION + 1}, "files": {{}}}}', StoreError, "newer program"),
        (
            '{"format": 2, "schema_version": 1, "files": {"../../etc/passwd": {"bytes": 1, "sha256": ""}}}',
            InvalidInput,
            "names",
        ),
    ],
)
def test_strange_manifests_are_refused(tmp_path: Path, manifest: str, error: type[Exception], word: str) -> None:
    """Values are accepted only if this program could have written them."""
    (tmp_path / MANIFEST).write_text(manifest)

    with pytest.raises(error, match=word):
        restore(tmp_path, tmp_path / "restored")


def test_a_directory_in_use_is_no_restore_target(used_directory: Path, tmp_path: Path) -> None:
    """A directory with a running service is refused, and so is one that is not empty."""
    back_up(used_directory, tmp_path / "copy", NOW)
    restore(tmp_path / "copy", tmp_path / "restored")

    with pytest.raises(Conflict, match="in use"):
        restore(tmp_path / "copy", used_directory)
    with pytest.raises(Conflict, match=r"contains admin\.key already"):
        restore(tmp_path / "copy", tmp_path / "restored")


def test_the_manifest_is_readable(used_directory: Path, tmp_path: Path) -> None:
    """It has the time of the backup and the schema version, and the copy is one complete database."""
    back_up(used_directory, tmp_path / "copy", NOW)
    manifest = json.loads((tmp_path / "copy" / MANIFEST).read_text())

    assert (manifest["made_at"], manifest["schema_version"]) == (NOW, SCHEMA_VERSION)
    with sqlite3.connect(tmp_path / "copy" / LEDGER) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    copy.close()

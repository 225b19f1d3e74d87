"""`actors.processes.backup`: contents of a backup, and backups that are refused."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from uuid import uuid4

import pytest

from actors.installation.erasure_file import FILE as ERASURES
from actors.installation.erasure_file import ErasureLine, add_erasures, read_erasures
from actors.ledger import factory
from actors.ledger.sqlite.schema import SCHEMA_VERSION
from actors.ledger.sqlite.writer import SQLiteLedgerWriter
from actors.processes import backup
from actors.processes.backup import JOURNAL, LEDGER, MANIFEST, back_up
from actors.processes.restore import restore
from actors.settings import Settings
from actors.settings.data_dir import DataDir
from actors.settings.data_dir_marker import MARKER_FILE
from api.cli.commands import backup as backup_command
from api.cli.commands import restore as restore_command
from api.journal.lmdb_file import Removals
from api.journal.lmdb_store import LmdbStore
from domain.account import Account
from domain.errors import Conflict, InvalidInput, StoreError, StoreUnavailable
from tests.contract.ledger_facts import stored
from tests.contract.sqlite_store import read_log
from tests.keys import install

NOW = "2026-02-02T02:40:00+00:00"
HITS = [(1, b"one"), (2, b"two")]


@pytest.fixture
def used_directory(tmp_path: Path) -> Iterator[Path]:
    """A data directory in use, whose ledger is open (another process may have its journal open)."""
    data_dir = tmp_path / "data"
    with DataDir.open(data_dir) as made:
        made.init()
        install(data_dir)
        made.admin_key(None)
        journal = LmdbStore(data_dir / "journal", 16 << 20)
        journal.write(3, HITS, Removals([], [], [], []))
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
    assert sorted(made.sizes) == sorted(["keys.json", "master.key", "admin.key", MARKER_FILE, JOURNAL, LEDGER])
    for name in ("keys.json", "master.key", "admin.key", MARKER_FILE):
        assert (restored / name).read_text() == (used_directory / name).read_text()
    journal = LmdbStore(restored / "journal", 16 << 20)
    assert (journal.read(0, 10, 1000), journal.next_seq()) == (HITS, 3)
    journal.close()
    assert read_log(restored / LEDGER) == read_log(used_directory / LEDGER) != []


def test_a_large_ledger_can_be_copied_apart(used_directory: Path, tmp_path: Path) -> None:
    """After a backup without it, `VACUUM INTO` copies the ledger while it is in use, and both are restored."""
    made = back_up(used_directory, tmp_path / "copy", NOW, with_ledger=False)
    with closing(sqlite3.connect(used_directory / LEDGER)) as ledger:
        ledger.execute("VACUUM INTO ?", (str(tmp_path / "ledger.copy"),))
    assert not made.has_ledger
    restored = tmp_path / "restored"
    restore(tmp_path / "copy", restored)
    shutil.copy(tmp_path / "ledger.copy", restored / LEDGER)

    factory.check_store_setting(Settings.from_env({}, data_dir=str(restored)))
    journal = LmdbStore(restored / "journal", 16 << 20)
    assert journal.read(0, 10, 1000) == HITS
    journal.close()
    assert read_log(restored / LEDGER) == read_log(used_directory / LEDGER) != []


def test_the_command_keeps_the_latest(used_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --keep, older backups next to the target go, and the output names them; a failed backup removes none."""
    folder = tmp_path / "copies"
    arguments = ["--data-dir", str(used_directory), "--keep", "2"]
    for name in ("a", "b", "c"):
        assert backup_command.run([str(folder / name), *arguments], {}) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["b", "c"]
    assert f"Removed the older backup {folder / 'a'}" in capsys.readouterr().out

    (used_directory / LEDGER).rename(tmp_path / "away")
    assert backup_command.run([str(folder / "d"), *arguments], {}) == 1
    (tmp_path / "away").rename(used_directory / LEDGER)
    assert {"b", "c"} <= {path.name for path in folder.iterdir()}


def test_spooled_mails_are_part_of_a_backup(used_directory: Path, tmp_path: Path) -> None:
    """Files of the spool are copied, checked and restored; other files in its folder are not."""
    spool = used_directory / "spool"
    spool.mkdir(mode=0o700)
    (spool / ("a" * 32)).write_bytes(b"mail")
    (spool / "other").write_bytes(b"x")
    made = back_up(used_directory, tmp_path / "copy", NOW)

    assert made.sizes[f"spool/{'a' * 32}"] == 4
    restore(tmp_path / "copy", tmp_path / "restored")
    assert [file.name for file in (tmp_path / "restored" / "spool").iterdir()] == ["a" * 32]
    assert (tmp_path / "restored" / "spool" / ("a" * 32)).read_bytes() == b"mail"
    assert "spool" in backup_command.listing(made)
    (tmp_path / "copy" / "spool" / ("a" * 32)).write_bytes(b"else")
    with pytest.raises(InvalidInput, match="is damaged"):
        restore(tmp_path / "copy", tmp_path / "again")


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
    with pytest.raises(StoreUnavailable, match=r"has no ledger\.sqlite: it was removed"):
        back_up(used_directory, tmp_path / "incomplete", NOW)
    (used_directory / factory.ELSEWHERE_FILE).touch()

    assert backup_command.run([copy, "--data-dir", str(used_directory)], {}) == 0
    assert "pg_dump" in capsys.readouterr().out
    assert restore_command.run([copy, "--no-erasures"], {"FEEDBACK_LOOPS_DATA_DIR": str(tmp_path / "restored")}) == 0
    output = capsys.readouterr().out
    assert "restore that too" in output
    assert "FEEDBACK_LOOPS_STORE=… feedback-loops serve" in output
    with pytest.raises(Conflict, match="--store"):
        factory.refuse_moved_ledger(tmp_path / "restored")


def test_a_path_without_a_data_directory_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error reports a mistyped path, and nothing is created."""
    with pytest.raises(Conflict, match=r"has no feedback-loops\.json"):
        back_up(tmp_path / "nowhere", tmp_path / "copy", NOW)

    assert not (tmp_path / "copy").exists()
    assert backup_command.run([str(tmp_path / "copy"), "--data-dir", str(tmp_path)], {}) == 1
    assert "has no feedback-loops.json" in capsys.readouterr().err


def test_a_backup_never_overwrites_anything(used_directory: Path, tmp_path: Path) -> None:
    """A target that is not empty is refused and left unchanged."""
    back_up(used_directory, tmp_path / "copy", NOW)

    with pytest.raises(InvalidInput, match="is not empty"):
        back_up(used_directory, tmp_path / "copy", NOW)


def test_a_backup_is_not_part_of_the_data_directory(used_directory: Path) -> None:
    """A target in the data directory is refused, and not created: it would be lost with it."""
    for target in (used_directory, used_directory / "copies" / "first", used_directory / "x" / ".." / "copy"):
        before = sorted(used_directory.iterdir())
        with pytest.raises(InvalidInput, match="is in the data directory"):
            back_up(used_directory, target, NOW)
        assert sorted(used_directory.iterdir()) == before


def test_an_unfinished_backup_cannot_be_restored(tmp_path: Path) -> None:
    """The backup in this test fails because the ledger is damaged."""
    with DataDir.open(tmp_path / "data") as made:
        made.init()
        install(tmp_path / "data")
    (tmp_path / "data" / LEDGER).write_bytes(b"no database" * 1000)

    with pytest.raises(StoreUnavailable, match="cannot be backed up"):
        back_up(tmp_path / "data", tmp_path / "copy", NOW)
    with pytest.raises(InvalidInput, match="is not a complete backup"):
        restore(tmp_path / "copy", tmp_path / "restored")


@pytest.mark.parametrize("name", ["keys.json", "master.key", "admin.key", MARKER_FILE, JOURNAL, LEDGER])
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
        ('{"format": 3, "schema_version": 1, "files": {"master.key": {}}}', InvalidInput, "is damaged"),
        ('{"format": 1, "schema_version": 5, "files": {}}', StoreError, "unreleased version"),
        ('{"format": 2, "schema_version": 5, "files": {}}', StoreError, "unreleased version"),
        ('{"format": 4, "schema_version": 1, "files": {}}', StoreError, "newer program"),
        (f'{{"format": 3, "schema_version": {SCHEMA_VERSION + 1}, "files": {{}}}}', StoreError, "newer program"),
        (
            '{"format": 3, "schema_version": 1, "files": {"../../etc/passwd": {"bytes": 1, "sha256": ""}}}',
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


def test_a_directory_that_is_replaced_meanwhile_gives_no_backup(
    used_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parts would be of two installations: the backup stays incomplete."""
    other = tmp_path / "other"
    with DataDir.open(other) as made:
        made.init()

    def replaced(journal_of: Path, target: Path) -> None:
        copy_journal(journal_of, target)
        used_directory.rename(tmp_path / "aside")
        other.rename(used_directory)
        (used_directory / factory.ELSEWHERE_FILE).touch()

    copy_journal = backup._copy_journal
    monkeypatch.setattr(backup, "_copy_journal", replaced)
    with pytest.raises(StoreUnavailable, match="was replaced during the backup"):
        back_up(used_directory, tmp_path / "copy", NOW)
    assert not (tmp_path / "copy" / MANIFEST).exists()


def test_an_erasure_that_completes_meanwhile_is_not_undone(
    used_directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copies from before it are replaced: the journal's may hold the person, and the ledger's must match it."""
    copies: list[Path] = []

    def copied(ledger_of: Path, target: Path) -> int | None:
        copies.append(target)
        version = copy_ledger(ledger_of, target)
        if len(copies) == 1:
            shutil.rmtree(used_directory / "journal")
            journal = LmdbStore(used_directory / "journal", 16 << 20)
            journal.write(4, [(3, b"from after the erasure")], Removals([], [], [], []))
            journal.close()
            line = ErasureLine.until(1, id="ers_1", account=None, digest="ab" * 32)
            add_erasures(used_directory / ERASURES, [line])
        return version

    copy_ledger = backup._copy_ledger
    monkeypatch.setattr(backup, "_copy_ledger", copied)
    back_up(used_directory, tmp_path / "copy", NOW)
    assert len(copies) == 2
    restore(tmp_path / "copy", tmp_path / "restored")
    journal = LmdbStore(tmp_path / "restored" / "journal", 16 << 20)
    assert [hit for _, hit in journal.read(0, 10, 1000)] == [b"from after the erasure"]
    journal.close()
    assert list(read_erasures(tmp_path / "restored" / ERASURES).lines) == ["ers_1"]
    assert read_log(tmp_path / "restored" / LEDGER) != []


def test_erasures_since_the_backup_go_into_the_restored_directory(used_directory: Path, tmp_path: Path) -> None:
    """Together with those of the backup, so that the service repeats all of them."""
    lines = [ErasureLine.until(n, id=f"ers_{n}", account=None, digest="ab" * 32) for n in (1, 2)]
    add_erasures(used_directory / ERASURES, lines[:1])
    back_up(used_directory, tmp_path / "copy", NOW)
    add_erasures(used_directory / ERASURES, lines[1:])
    restore(tmp_path / "copy", tmp_path / "restored", used_directory / ERASURES)
    assert list(read_erasures(tmp_path / "restored" / ERASURES).lines) == ["ers_1", "ers_2"]

    (tmp_path / "damaged").write_text('{"id": "ers_3"}\n')
    for path, problem in ((tmp_path / "damaged", "line 1"), (tmp_path / "missing", "does not exist")):
        with pytest.raises(InvalidInput, match=problem):
            restore(tmp_path / "copy", tmp_path / "another", path)
    assert not (tmp_path / "another").exists()


def test_a_restore_asks_for_the_erasures(
    used_directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Silently bringing people back is worse than a question."""
    back_up(used_directory, tmp_path / "copy", NOW)
    target = str(tmp_path / "restored")
    with pytest.raises(SystemExit) as ended:
        restore_command.run([str(tmp_path / "copy"), "--data-dir", target], {})
    assert (ended.value.code, "--no-erasures" in capsys.readouterr().err) == (2, True)
    add_erasures(used_directory / ERASURES, [ErasureLine.until(1, id="ers_1", account=None, digest="ab" * 32)])
    environment = {"FEEDBACK_LOOPS_ERASURES_FILE": str(used_directory / ERASURES)}
    assert restore_command.run([str(tmp_path / "copy"), "--data-dir", target], environment) == 0
    assert list(read_erasures(tmp_path / "restored" / ERASURES).lines) == ["ers_1"]


def test_an_interrupted_restore_is_no_data_directory(used_directory: Path, tmp_path: Path) -> None:
    """The marker is restored last, and without it neither `serve` nor another restore uses the directory."""
    back_up(used_directory, tmp_path / "copy", NOW)
    restore(tmp_path / "copy", tmp_path / "restored")
    (tmp_path / "restored" / MARKER_FILE).unlink()

    with pytest.raises(StoreError, match="its restore was interrupted"), DataDir.open(tmp_path / "restored"):
        pass


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

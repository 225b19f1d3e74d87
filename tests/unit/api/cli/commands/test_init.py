"""`feedback-loops init`, and services that may only start on its result."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from actors.processes.serve_supervisor import serve
from actors.settings import Settings
from actors.settings.data_dir_marker import is_data_dir
from api.cli.commands import init
from domain.errors import Conflict
from tests.paths import ROOT


def test_init_makes_an_installation_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has a marker and keys; a second command changes nothing, whatever the variables of the unit are."""
    path = tmp_path / "data"
    environment = {"FEEDBACK_LOOPS_DATA_DIR": str(path), "FEEDBACK_LOOPS_NO_INIT": "yes"}
    assert init.run([], environment) == 0
    assert f"serve --no-init --data-dir {path}" in capsys.readouterr().out
    assert is_data_dir(path)
    keys = (path / "master.key").read_text(), (path / "admin.key").read_text()

    assert init.run([], environment) == 1
    assert "is a data directory already" in capsys.readouterr().err
    assert ((path / "master.key").read_text(), (path / "admin.key").read_text()) == keys


def test_only_the_user_can_read_what_init_makes(tmp_path: Path) -> None:
    """Every file is private, the ledger too, in a directory that others may read and whatever the umask is."""
    tmp_path.chmod(0o755)
    umask = os.umask(0)
    try:
        assert init.run(["--data-dir", str(tmp_path)], {}) == 0
    finally:
        os.umask(umask)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert "ledger.sqlite" in modes
    assert set(modes.values()) == {0o600}, modes


def test_init_refuses_a_directory_of_another_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is written there."""
    (tmp_path / "letter.txt").touch()
    assert init.run(["--data-dir", str(tmp_path)], {}) == 1
    assert "another program" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_without_init_an_empty_directory_is_refused(tmp_path: Path) -> None:
    """`serve --no-init` makes no keys in a volume that is not mounted; the error says what to do."""
    settings = Settings.from_env({}, data_dir=str(tmp_path), port="0", no_init="yes")
    with pytest.raises(Conflict, match="mount its volume, restore a backup, or run `feedback-loops init`"):
        serve(settings, {})
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]


def test_an_installation_without_its_keys_is_not_given_new_ones(tmp_path: Path) -> None:
    """`serve --no-init` refuses it; an interrupted `init` is continued."""
    path = tmp_path / "data"
    assert init.run(["--data-dir", str(path)], {}) == 0
    (path / "keys.json").unlink()
    with pytest.raises(Conflict, match="has no keys"):
        serve(Settings.from_env({}, data_dir=str(path), port="0", no_init="yes"), {})
    assert not (path / "keys.json").exists()
    assert init.run(["--data-dir", str(path)], {}) == 0
    assert (path / "keys.json").exists()


def test_the_flag_is_a_switch(tmp_path: Path) -> None:
    """`--no-init` needs no value."""
    command = [sys.executable, "-m", "api.cli.main", "serve", "--no-init", "--port", "0", "--data-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "with --no-init no new installation is made" in done.stderr

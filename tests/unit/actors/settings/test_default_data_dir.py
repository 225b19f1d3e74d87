"""`actors.settings.default_data_dir`: the same directory for `serve` and every other command."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import actors
from actors.settings import Settings
from actors.settings.data_dir import DataDir
from actors.settings.default_data_dir import choose_data_dir
from domain.errors import InvalidInput


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory, and a working directory in it that is no checkout."""
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def make(path: Path) -> Path:
    with DataDir.open(path) as data_dir:
        data_dir.init()
    return path


def test_the_given_directory_wins(home: Path) -> None:
    """The flag before the variable, and both before all defaults."""
    environment = {"FEEDBACK_LOOPS_DATA_DIR": "~/variable", "STATE_DIRECTORY": "/state"}
    assert choose_data_dir(environment, "flag").path == home / "work" / "flag"
    assert choose_data_dir(environment).path == home / "variable"
    assert choose_data_dir(environment | {"FEEDBACK_LOOPS_DATA_DIR": ""}).path == Path("/state")


def test_the_first_state_directory_is_used(home: Path) -> None:
    """systemd separates several with colons."""
    assert choose_data_dir({"STATE_DIRECTORY": "/var/lib/one:/var/lib/two"}).path == Path("/var/lib/one")
    assert choose_data_dir({"STATE_DIRECTORY": ""}).path == home / ".local/state/feedback-loops"


def test_a_checkout_has_its_own(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """The working directory has this project's pyproject.toml, and the code comes from there; a copy is not enough."""
    checkout = Path(actors.__file__).parent.parent
    monkeypatch.chdir(checkout)
    assert choose_data_dir({}) == (checkout / "var", None)
    shutil.copy(checkout / "pyproject.toml", home / "work")
    monkeypatch.chdir(home / "work")
    assert choose_data_dir({}).path == home / ".local/state/feedback-loops"


def test_elsewhere_it_is_in_the_home_directory(home: Path) -> None:
    """A directory `var` that is not ours does not matter."""
    (home / "work/var/log").mkdir(parents=True)
    assert choose_data_dir({}) == (home / ".local/state/feedback-loops", None)


def test_an_old_directory_is_found_with_a_warning(home: Path) -> None:
    """A data directory `./var` is used as long as the usual place has none."""
    var = make(home / "work/var")
    found = choose_data_dir({})
    assert found.path == var
    assert found.warning is not None
    assert str(home / ".local/state/feedback-loops") in found.warning


def test_of_two_directories_none_is_chosen(home: Path) -> None:
    """The error names both; with a flag, everything is clear."""
    var, usual = make(home / "work/var"), make(home / ".local/state/feedback-loops")
    with pytest.raises(InvalidInput) as caught:
        Settings.from_env({})
    assert str(var) in str(caught.value)
    assert str(usual) in str(caught.value)
    assert "--data-dir (FEEDBACK_LOOPS_DATA_DIR)" in str(caught.value)
    assert Settings.from_env({}, data_dir="var").data_dir == var


def test_a_path_that_is_none_is_refused(home: Path) -> None:
    """The error names the option."""
    with pytest.raises(InvalidInput, match=r"--data-dir \(FEEDBACK_LOOPS_DATA_DIR\) must be a path"):
        choose_data_dir({}, "a\0b")

"""Default of the data directory, the same for `serve` and every command that looks for a data directory.

It is the first of these that applies:

1. the first directory of `$STATE_DIRECTORY`, which systemd sets for a unit with `StateDirectory=`
2. `./var` in a checkout: the working directory's `pyproject.toml` names this project, and the code is imported from it
3. `~/.local/state/feedback-loops`; but `./var`, with a warning, if only that is a data directory. If both are, neither
   is chosen: the caller must name one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import actors
from actors.settings.data_dir_marker import is_data_dir
from actors.settings.parsers import directory
from domain.errors import InvalidInput

PROJECT: Final = "feedback-loops"
DESCRIPTION: Final = "$STATE_DIRECTORY if set, else ./var in a checkout, else ~/.local/state/feedback-loops"
VARIABLE: Final = "FEEDBACK_LOOPS_DATA_DIR"
OPTION: Final = f"--data-dir ({VARIABLE})"


class DataDirChoice(NamedTuple):
    """The chosen directory, and a warning for the log or the screen if the choice may surprise."""

    path: Path
    warning: str | None = None


def choose_data_dir(environment: Mapping[str, str], given: str | Path | None = None) -> DataDirChoice:
    """The data directory: the given one, that of the environment, or the default.

    Raises:
        InvalidInput: a path is not valid, or several directories may be meant.
    """
    if given == "":  # `--data-dir "$DIR"` with an unset DIR: the default would be another installation.
        raise _unclear("must not be empty")
    if text := str(given or environment.get(VARIABLE) or ""):
        try:
            return DataDirChoice(directory(text))
        except ValueError as exc:
            raise InvalidInput(f"{OPTION} {exc}", [(OPTION, str(exc))]) from None
    if first := environment.get("STATE_DIRECTORY", "").partition(":")[0]:
        return DataDirChoice(Path(first).absolute())
    here = Path("var").absolute()
    if _is_checkout(here.parent):
        return DataDirChoice(here)
    try:
        usual = Path.home() / ".local/state" / PROJECT
    except RuntimeError:
        raise _unclear("is needed: this user has no home directory") from None
    if not is_data_dir(here):
        return DataDirChoice(usual)
    if is_data_dir(usual):
        raise _unclear(f"is needed: both {usual} and {here} are data directories; name one of them")
    return DataDirChoice(here, f"{here} is used, because {usual} is empty; name the directory with {OPTION}")


def _is_checkout(folder: Path) -> bool:
    if Path(actors.__file__).resolve().parent.parent != folder.resolve():
        return False
    try:
        project = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["project"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return bool(project == PROJECT)


def _unclear(problem: str) -> InvalidInput:
    return InvalidInput(f"{OPTION} {problem}", [(OPTION, problem)])

"""Marker of a data directory: the file by which it is recognised, and the directories that can never be one.

| what is at the path | `serve` and `init` | `backup`, `migrate`, `doctor` |
|---|---|---|
| nothing, or an empty directory | a new installation, with a warning; refused with `--no-init` | refused |
| a directory with `feedback-loops.json` | used | used |
| the same, of a newer format or damaged | refused | refused |
| our files without it | refused: an unreleased version, or a restore that was interrupted | refused |
| other files, whatever their names | refused, unchanged | refused |
| a directory of the system, or a home directory | refused, unchanged, even if it is empty | refused |
| a file, a broken link, a path that cannot be written | refused | refused |

Only the mode of a directory that this program creates is set (0700). Every file in it is private anyway.
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from domain.errors import Conflict, StoreError, StoreUnavailable

MARKER_FILE: Final = "feedback-loops.json"
#: Format of everything in the directory but the ledger, which has a schema version of its own. A program only reads
#: directories up to its own format.
FORMAT: Final = 1
#: What a directory may contain and still count as empty: also what a start leaves that ends before the marker.
_NOTHING: Final = frozenset({"lost+found", "lock", f"{MARKER_FILE}.new"})
#: Files of a data directory. Without the marker, an unreleased version made them, or an interrupted restore.
_OURS: Final = frozenset({"journal", "ledger.sqlite", "master.key", "admin.key"})
#: Other files that our programs put next to those.
_SIDE_FILES: Final = frozenset(
    {
        "format",
        "run",
        "logs",
        "spool",
        "journal.lock",
        "journal.next",
        "journal.old",
        "api-keys.json",
        "first-run.token",
        "keys.json",
    }
    | {"erasures.ndjson", "ledger.sqlite-wal", "ledger.sqlite-shm", "ledger.moved.sqlite", "ledger.elsewhere"}
)
_SYSTEM: Final = frozenset(
    {
        *map(Path, ("/", "/bin", "/boot", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/root")),
        *map(Path, ("/run", "/sbin", "/srv", "/usr", "/usr/local", "/usr/share", "/var", "/var/cache", "/var/lib")),
        *map(Path, ("/var/log", "/var/spool", "/Library", "/System", "/Users", "/Volumes", "/private")),
        *map(Path, ("/tmp", "/var/tmp", "/private/tmp")),  # noqa: S108
    }
)
_KERNEL: Final = (Path("/dev"), Path("/proc"), Path("/sys"))
_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108


class Marker(NamedTuple):
    """Contents of the marker."""

    #: RFC 3339.
    created_at: str
    #: Fingerprint of the installation; None until it is known.
    installation: str | None = None
    format: int = FORMAT

    def text(self) -> str:
        return json.dumps(self._asdict(), indent=2) + "\n"

    @property
    def age_days(self) -> float:
        """The age in days; 0 if the time is not valid."""
        try:
            return (datetime.now(UTC) - datetime.fromisoformat(self.created_at)).total_seconds() / 86_400
        except (ValueError, TypeError):
            return 0.0


def is_data_dir(path: Path) -> bool:
    """Whether this is a data directory, of whatever format."""
    return (path / MARKER_FILE).is_file()


def read_marker(path: Path) -> Marker | None:
    """The marker of a directory; None if the directory has none.

    Raises:
        StoreError: a newer program wrote it.
        StoreUnavailable: it is damaged or cannot be read.
    """
    file = path / MARKER_FILE
    try:
        found = json.loads(file.read_text())
        marker = _checked(found)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as exc:
        raise StoreUnavailable(f"{file} cannot be read ({exc}): restore it from a backup") from exc
    if marker.format > FORMAT:
        raise StoreError(
            f"{path} has format {marker.format}, this program reads formats up to {FORMAT}: "
            "start the newer program that wrote it"
        )
    return marker


def _checked(found: Any) -> Marker:
    marker = Marker(found["created_at"], found["installation"], found["format"])
    is_valid = isinstance(marker.format, int) and isinstance(marker.created_at, str)
    if not is_valid or not isinstance(marker.installation, str | None):
        raise ValueError("its values are of other types")
    return marker


def require_marker(path: Path) -> Marker:
    """The marker of a directory in use.

    Raises:
        Conflict: it is not a data directory.
        StoreError: a newer program wrote it.
        StoreUnavailable: the marker is damaged or cannot be read.
    """
    marker = read_marker(path)
    if marker is None:
        if path.is_dir():
            check_empty(path)
        problem = f"it has no {MARKER_FILE}; name the right one with --data-dir"
        raise Conflict(f"{path} is not the data directory of a service: {problem}")
    return marker


def check_empty(path: Path) -> None:
    """Checks that a directory without a marker is empty.

    Raises:
        Conflict: it contains files of another program.
        StoreError: it contains files of this program.
        StoreUnavailable: it cannot be read.
    """
    try:
        names = {entry.name for entry in path.iterdir()}
    except OSError as exc:
        raise StoreUnavailable(f"the data directory {path} cannot be used: {exc.strerror or exc}") from exc
    if names & _OURS and not names - _OURS - _NOTHING - _SIDE_FILES:
        raise StoreError(
            f"{path} has no {MARKER_FILE}: it was made by an unreleased version of this program, from before 0.2.0, or "
            "its restore was interrupted. Name a new directory with --data-dir"
        )
    if names - _NOTHING:
        raise Conflict(f"{path} contains files of another program: name a new or empty directory with --data-dir")


def refuse_system_directory(path: Path) -> None:
    """Refuses a directory that belongs to the system or to a person, whatever it contains.

    Raises:
        Conflict: it does.
    """
    real = Path(os.path.realpath(path))
    is_of_kernel = any(real.is_relative_to(root) for root in _KERNEL)
    in_memory = real != _IN_MEMORY and real.is_relative_to(_IN_MEMORY)
    if real in _SYSTEM or real == _home() or (is_of_kernel and not in_memory):
        raise Conflict(f"{path} is a directory of the system: name one for this service alone with --data-dir")


def _home() -> Path | None:
    try:
        return Path.home().resolve()
    except RuntimeError:  # this user has none
        return None

"""Checks of the machine: data directory, keys, open files, port and clock."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import stat
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar, Final

from actors.process_setup.open_files import ENOUGH, raise_limit
from actors.settings import Settings
from actors.settings.data_dir import runtime_dir_path
from actors.settings.data_dir_marker import MARKER_FILE, Marker, check_empty, read_marker
from actors.settings.data_dir_watch import LOCK_FILE
from actors.settings.parsers import bearer_key, key
from api.cli.doctor.findings import Finding, ok, problem, warning
from domain.errors import FeedbackLoopsError

#: Seconds by which a file may be from the future: clocks of file servers differ a little.
FUTURE_S: Final = 5.0
#: `adjtimex` (Linux): the clock is not synchronised.
_STA_UNSYNC: Final = 0x40


def is_running(data_dir: Path) -> bool:
    """Whether a service holds the data directory's lock."""
    return _is_locked(data_dir / LOCK_FILE)


def has_lost_it(data_dir: Path) -> bool:
    """Whether a service was started on this path, and the directory there is no longer the one that it has locked."""
    return _is_locked(runtime_dir_path(data_dir)) and not is_running(data_dir)


def _is_locked(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def check_data_dir(data_dir: Path) -> Sequence[Finding]:
    """Checks that the directory exists, belongs to this user, is private, and writable."""
    name = "data directory"
    if has_lost_it(data_dir):
        what = f"a service runs whose data directory {data_dir} was deleted, moved or replaced since its start"
        return [problem(name, what, "Do not stop it yet: see `A lost data directory` in docs/how-to/operate.md.")]
    try:
        found = data_dir.stat()
    except FileNotFoundError:
        return [
            warning(
                name,
                f"{data_dir} does not exist",
                "The first `feedback-loops serve` creates it; otherwise set --data-dir.",
            )
        ]
    except OSError as exc:
        return [problem(name, f"{data_dir} cannot be read: {exc.strerror}", "Run this as the service's own user.")]
    if not stat.S_ISDIR(found.st_mode):
        return [problem(name, f"{data_dir} is not a directory", "Name the service's directory with --data-dir.")]
    if found.st_uid != os.geteuid():
        advice = "Run this, and the service, as its owner."
        return [problem(name, f"{data_dir} belongs to user {found.st_uid}, this is {os.geteuid()}", advice)]
    if not os.access(data_dir, os.W_OK | os.X_OK):
        return [problem(name, f"{data_dir} cannot be written", f"chmod u+rwx {data_dir}, or mount it writable.")]
    return [_marked(data_dir, found.st_mode)]


def _marked(data_dir: Path, mode: int) -> Finding:
    """Checks the marker, and that only the owner can read the directory."""
    name = "data directory"
    try:
        marker = read_marker(data_dir)
        if marker is None:
            check_empty(data_dir)
    except FeedbackLoopsError as exc:
        return problem(name, str(exc), "Name the service's directory with --data-dir, or start the right program.")
    if marker is None:
        advice = "Mount its volume if it should hold an installation; otherwise the first start makes a new one."
        return warning(name, f"{data_dir} is empty: it has no {MARKER_FILE}", advice)
    if mode & 0o077:
        return warning(name, f"{data_dir}, {_identity(marker)}, is open to other users", f"chmod 700 {data_dir}")
    return ok(name, f"{data_dir} is private, {_identity(marker)}")


def _identity(marker: Marker) -> str:
    """The installation's fingerprint and age, by which operators recognise a wrong volume."""
    days = int(marker.age_days)
    age = "today" if days <= 0 else f"{days} day{'s' if days > 1 else ''} ago"
    return f"installation {marker.installation or 'not known yet'}, made {age} ({marker.created_at})"


def check_keys(data_dir: Path) -> Sequence[Finding]:
    """Checks that the keys are intact and only readable by their owner."""
    files = ((data_dir / "master.key", key), (data_dir / "admin.key", bearer_key))
    return [_key(path, read) for path, read in files if path.exists()]


def _key(path: Path, read: Callable[[str], object]) -> Finding:
    try:
        read(path.read_text().strip())
    except ValueError:
        advice = "Restore it from a backup; without it no link that was sent can be read."
        if path.name == "admin.key":
            advice = "Remove it: the next start creates a new one."
        return problem("keys", f"{path} is damaged", advice)
    except OSError as exc:
        return problem("keys", f"{path} cannot be read: {exc.strerror}", "Run this as the service's own user.")
    if path.stat().st_mode & 0o077:
        return problem("keys", f"{path} can be read by other users", f"chmod 600 {path}")
    return ok("keys", f"{path.name} is intact and private")


def admin_key(settings: Settings) -> str | None:
    """The admin key that is set or stored in the data directory, or None."""
    if settings.admin_key is not None:
        return str(settings.admin_key)
    try:
        return str(bearer_key((settings.data_dir / "admin.key").read_text().strip()))
    except (OSError, ValueError):
        return None


def check_open_files(data_dir: Path, *, runs: bool) -> Sequence[Finding]:
    """Checks the limit of open files: that of the running service, or the one that a service started here would get."""
    name, limit = "open files", raise_limit()
    if runs:
        try:
            pid = int((data_dir / "lock").read_text())
            rows = Path(f"/proc/{pid}/limits").read_text().splitlines()
            limit = int(next(row for row in rows if row.startswith("Max open files")).split()[3])
        except (OSError, ValueError, StopIteration):
            return []
    found = f"{'the service' if runs else 'a service started here'} may open {limit} files"
    if limit < ENOUGH:
        advice = f"Raise the hard limit to {ENOUGH} or more: LimitNOFILE= in the unit, or ulimit -Hn."
        return [warning(name, found, advice)]
    return [ok(name, found)]


def check_port(settings: Settings, *, runs: bool) -> Sequence[Finding]:
    """Checks that the service can listen on its port. Another check asks a running service."""
    if runs or settings.port == 0:
        return []
    where = f"port {settings.port} of {settings.host}"
    try:
        family, _, _, _, address = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address[:2], family=family).close()
    except OSError as exc:
        advice = "Stop the process that listens there (`ss -ltnp`), or choose another with --port and --host."
        return [problem("port", f"cannot listen on {where}: {exc.strerror or exc}", advice)]
    return [ok("port", f"{where} is free")]


def check_clock(data_dir: Path, now_s: float | None = None) -> Sequence[Finding]:
    """Checks that the clock was not set back and that it is synchronised."""
    now_s = time.time() if now_s is None else now_s
    newest_s = max((path.stat().st_mtime for path in _written(data_dir)), default=0.0)
    if newest_s > now_s + FUTURE_S:
        found = f"files in {data_dir} were written {newest_s - now_s:.0f} s in the future: the clock was set back"
        return [problem("clock", found, "Correct it (chrony, systemd-timesyncd); retries wait until then.")]
    is_kept = is_synchronised()
    if is_kept is False:
        advice = "Run chrony or systemd-timesyncd; receivers refuse signatures that are minutes off."
        return [warning("clock", "the clock is not synchronised", advice)]
    return [ok("clock", "it was not set back" + (", and is synchronised" if is_kept else ""))]


def _written(data_dir: Path) -> list[Path]:
    return [path for path in (*data_dir.glob("*"), *data_dir.glob("journal/*")) if path.is_file()]


class _Timex(ctypes.Structure):
    """The first fields of `struct timex`, with room for the rest."""

    _fields_: ClassVar = [
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 256),
    ]


def is_synchronised() -> bool | None:
    """Whether the kernel's clock is synchronised; None if the kernel does not report it."""
    try:
        adjtimex = ctypes.CDLL(None).adjtimex
    except (OSError, AttributeError):
        return None
    timex = _Timex()
    return None if adjtimex(ctypes.byref(timex)) < 0 else not timex.status & _STA_UNSYNC

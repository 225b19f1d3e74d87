"""Data directory of a service: its lock, its marker, and the keys in it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from actors.settings.data_dir_marker import (
    MARKER_FILE,
    Marker,
    check_empty,
    read_marker,
    refuse_system_directory,
)
from actors.settings.data_dir_watch import LOCK_FILE, DataDirWatch, FileIdentity
from actors.settings.parsers import Secret, bearer_key
from domain.errors import Conflict, StoreUnavailable

#: Seconds that the children of a dead service have to end.
ORPHANS_TIMEOUT_S: Final = 3.0
#: Ray's longest socket path adds 76 bytes, and a socket path has at most 107.
_MAX_RUNTIME_DIR_BYTES: Final = 31
_POLL_S: Final = 0.02
#: A Unix socket's path has at most 107 bytes.
MAX_SOCKET_PATH_BYTES: Final = 107


class DataDir:
    """A data directory that is locked for this process. Created by `open`."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self._path = path
        #: A process that inherits this descriptor holds the lock for as long as it lives.
        self.lock_fd: Final = lock_fd
        self.identity: Final = FileIdentity.of(os.fstat(lock_fd))
        self.watch: Final = DataDirWatch(path, self.identity)

    @classmethod
    @contextmanager
    def open(cls, path: Path, patience_s: float = ORPHANS_TIMEOUT_S) -> Iterator[DataDir]:
        """Locks a data directory, or a new or empty directory that may become one by `init`. Creates it with mode 0700.

        If the service that held the lock has died, waits up to `patience_s` for its children to end.

        Raises:
            Conflict: another service uses the directory, or it belongs to another program or to the system.
            StoreError: another version of this program wrote the directory, in a format that this one does not read.
            StoreUnavailable: the directory cannot be created or used.
        """
        try:
            _make(path)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            lock_fd = os.open(path / LOCK_FILE, flags, 0o600)
        except OSError as exc:
            raise StoreUnavailable(f"the data directory {path} cannot be used: {exc.strerror or exc}") from exc
        try:
            _lock(lock_fd, path, time.monotonic() + patience_s)
            yield cls(path, lock_fd)
        finally:
            os.close(lock_fd)

    @property
    def marker(self) -> Marker | None:
        """The directory's marker; None: it is empty."""
        return read_marker(self._path)

    @property
    def is_installed(self) -> bool:
        """Whether the directory has an installation's keys."""
        return self.marker is not None and (self._path / "keys.json").exists()

    def init(self) -> Marker:
        """Makes the directory a data directory, unless it is one. Returns its marker.

        Raises:
            StoreUnavailable: it cannot be written.
        """
        return self.marker or self._write(Marker(datetime.now(UTC).isoformat(timespec="seconds")))

    def record_installation(self, fingerprint: str) -> None:
        """Writes the fingerprint of the installation into the marker, unless it is there.

        Raises:
            Conflict: the directory is another installation's.
            StoreUnavailable: it cannot be written.
        """
        marker = self.init()
        if marker.installation is None:
            self._write(marker._replace(installation=fingerprint))
        elif marker.installation != fingerprint:
            raise Conflict(f"{self._path} is of the installation {marker.installation}, not of {fingerprint}")

    def _write(self, marker: Marker) -> Marker:
        try:
            write_private(self._path / MARKER_FILE, marker.text())
        except OSError as exc:
            raise StoreUnavailable(f"the data directory {self._path} cannot be written: {exc.strerror or exc}") from exc
        return marker

    def folder(self, name: str) -> Path:
        """A folder in the directory. Creates it, for the owner only, if it does not exist."""
        path = self._path / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def admin_key(self, given: Secret | None) -> Secret:
        """The admin key: the given one, or the one in the directory. Created at the first start.

        Raises:
            StoreUnavailable: the file is damaged.
        """
        if given is not None:
            return given
        try:
            return bearer_key(self._stored("admin.key", lambda: f"fla_{secrets.token_urlsafe(32)}"))
        except ValueError:
            problem = f"{self._path / 'admin.key'} is damaged: remove it, and the next start creates a new key"
            raise StoreUnavailable(problem) from None

    def _stored(self, name: str, make: Callable[[], str]) -> str:
        path = self._path / name
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            value = make()
            write_private(path, value + "\n")
            return value
        except (OSError, UnicodeDecodeError) as exc:
            raise StoreUnavailable(f"{path} cannot be read: {exc}") from exc


def _make(path: Path) -> None:
    """Creates the directory with mode 0700. If it exists, checks that it is ours or empty, and changes nothing."""
    refuse_system_directory(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        if not path.is_dir():
            raise
        if read_marker(path) is None:
            check_empty(path)


def _lock(lock_fd: int, path: Path, deadline_s: float) -> None:
    while not try_lock(lock_fd):
        owner = os.pread(lock_fd, 32, 0).decode(errors="replace").strip() or "unknown"
        if _is_alive(owner) or time.monotonic() > deadline_s:
            what = "another service" if _is_alive(owner) else "the children of a service that has died"
            raise Conflict(f"{path} is in use by {what} (process {owner}): stop it, or choose another --data-dir")
        time.sleep(_POLL_S)
    os.ftruncate(lock_fd, 0)
    os.pwrite(lock_fd, f"{os.getpid()}\n".encode(), 0)


def try_lock(lock_fd: int) -> bool:
    """Locks an open file or directory for this process, unless another process has locked it."""
    try:
        fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def write_private(path: Path, content: str) -> None:
    """Writes a file that only its owner can read. Atomic and durable: a power cut leaves the whole file or none."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    make_durable(path.parent)


def make_durable(path: Path) -> None:
    """Flushes a file, or the entries of a directory, to the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def runtime_dir_path(data_dir: Path) -> Path:
    """The runtime directory of a data directory: always the same path, short enough for the paths of sockets."""
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    path = _temporary_dir() / f"fl-{os.getuid()}-{name}"
    is_short = len(os.fsencode(path)) <= _MAX_RUNTIME_DIR_BYTES
    return path if is_short else Path("/tmp", path.name)  # noqa: S108


def _temporary_dir() -> Path:
    """The directory for temporary files. Never the working directory, which `tempfile` uses if all others fail.

    Raises:
        StoreUnavailable: there is none that can be written.
    """
    try:
        found = Path(tempfile.gettempdir())
    except FileNotFoundError:
        found = Path.cwd()
    given = [os.environ[name] for name in ("TMPDIR", "TEMP", "TMP") if os.environ.get(name)]
    if found != Path.cwd() or found in {Path(name).absolute() for name in ("/tmp", "/var/tmp", "/usr/tmp", *given)}:  # noqa: S108
        return found
    raise StoreUnavailable("no directory for temporary files can be written, not even /tmp: set TMPDIR to one that can")


def gateway_socket_path(data_dir: Path) -> Path:
    """The gateway's socket: in the data directory, or in the runtime directory if that path is too long."""
    usual = data_dir / "run" / "gateway.sock"
    fits = len(os.fsencode(usual)) <= MAX_SOCKET_PATH_BYTES
    return usual if fits else runtime_dir_path(data_dir) / "gateway.sock"


def make_private_dir(path: Path) -> None:
    """Creates a directory for this user only, also in a directory where everybody may write.

    Raises:
        StoreUnavailable: the path belongs to another user, or is not a directory.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise StoreUnavailable(f"{path} belongs to another user: remove it, or set TMPDIR to another directory")
    path.chmod(0o700)

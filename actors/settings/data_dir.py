"""Data directory of a service: its lock, its format, and the keys in it."""

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
from pathlib import Path
from typing import Final

from actors.settings.parsers import KEY_BYTES, Secret, bearer_key, key
from domain.errors import Conflict, StoreError, StoreUnavailable

#: Format of everything in the directory but the ledger, which has a schema version of its own. A program only reads
#: directories up to its own format.
FORMAT: Final = 1
FORMAT_FILE: Final = "format"
#: Seconds that the children of a dead service have to end.
ORPHANS_TIMEOUT_S: Final = 3.0
#: Each of these marks a directory as one of this service, restored ones included.
_OURS: Final = frozenset({"lock", "master.key", "admin.key", "ledger.sqlite"})
_HARMLESS: Final = frozenset({"lost+found"})
#: A directory with a journal has been used; unreleased versions wrote no format.
_JOURNAL: Final = "journal"
#: Ray's longest socket path adds 76 bytes, and a socket path has at most 107.
_MAX_RUNTIME_DIR_BYTES: Final = 31
_POLL_S: Final = 0.02


class DataDir:
    """A data directory that is locked for this process. Created by `open`."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self._path = path
        #: A process that inherits this descriptor holds the lock for as long as it lives.
        self.lock_fd: Final = lock_fd

    @classmethod
    @contextmanager
    def open(cls, path: Path, patience_s: float = ORPHANS_TIMEOUT_S) -> Iterator[DataDir]:
        """Locks the directory. Creates it with mode 0700 if it does not exist.

        If the service that held the lock has died, waits up to `patience_s` for its children to end.

        Raises:
            Conflict: another service uses the directory, or it belongs to another program.
            StoreError: another version of this program wrote the directory, in a format that this one does not read.
            StoreUnavailable: the directory cannot be created or used.
        """
        try:
            _make_private(path)
            lock_fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise StoreUnavailable(f"the data directory {path} cannot be used: {exc.strerror or exc}") from exc
        try:
            _lock(lock_fd, path, time.monotonic() + patience_s)
            check_format(path)
            if not (path / FORMAT_FILE).exists():
                write_private(path / FORMAT_FILE, f"{FORMAT}\n")
            yield cls(path, lock_fd)
        finally:
            os.close(lock_fd)

    def folder(self, name: str) -> Path:
        """A folder in the directory. Creates it, for the owner only, if it does not exist."""
        path = self._path / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def master_key(self, given: bytes) -> bytes:
        """The master key: the given one, or the one in the directory if `given` is empty. Created at the first start.

        Raises:
            StoreUnavailable: the file is damaged, or contains another key than the given one, which signed the links.
        """
        text = self._stored("master.key", (given or secrets.token_bytes(KEY_BYTES)).hex)
        try:
            stored = key(text)
        except ValueError:
            raise StoreUnavailable(f"{self._path / 'master.key'} is damaged: restore it from a backup") from None
        if given and given != stored:
            raise StoreUnavailable(f"the given master key is not the one in {self._path / 'master.key'}")
        return stored

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


def check_format(path: Path) -> None:
    """Refuses a data directory in a format that this program does not read. A new directory has none yet.

    Raises:
        StoreError: another version of this program wrote it.
        StoreUnavailable: the format cannot be read.
    """
    file = path / FORMAT_FILE
    try:
        found = int(file.read_text())
    except FileNotFoundError:
        if (path / _JOURNAL).exists():
            raise StoreError(
                f"{path} was made by an unreleased version of this program, from before 0.2.0: "
                "name a new directory with --data-dir"
            ) from None
        return
    except (OSError, ValueError) as exc:
        raise StoreUnavailable(f"{file} cannot be read: {exc}") from exc
    if found > FORMAT:
        raise StoreError(
            f"{path} has format {found}, this program reads formats up to {FORMAT}: "
            "start the newer program that wrote it"
        )


def _make_private(path: Path) -> None:
    """Creates the directory, or makes it private if it is empty or belongs to this service. Changes no other."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = {entry.name for entry in path.iterdir()}
    if names - _HARMLESS and not names & _OURS:
        raise Conflict(f"{path} contains files of another program: name a new or empty directory with --data-dir")
    path.chmod(0o700)


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
    path = Path(tempfile.gettempdir()) / f"fl-{os.getuid()}-{name}"
    is_short = len(os.fsencode(path)) <= _MAX_RUNTIME_DIR_BYTES
    return path if is_short else Path("/tmp", path.name)  # noqa: S108


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

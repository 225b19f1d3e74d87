"""The data directory: who may use it, and the keys in it."""

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

from actors.settings.options import KEY_BYTES, Secret, bearer_key, key
from domain.errors import Conflict, StoreUnavailable

#: Seconds that what a dead service started has to end.
ORPHANS_TIMEOUT_S: Final = 3.0
#: Any of these makes a directory one of ours, a restored one too.
_OURS: Final = frozenset({"lock", "master.key", "admin.key", "ledger.sqlite"})
_HARMLESS: Final = frozenset({"lost+found"})
#: The longest socket of Ray's below it needs 76 more of the 107 bytes that there are.
_MAX_SHORT_BYTES: Final = 31
_POLL_S: Final = 0.02


class DataDir:
    """A data directory that this process uses, and no other service besides. Made by `open`."""

    def __init__(self, path: Path, lock_fd: int) -> None:
        self._path = path
        #: Whoever inherits this descriptor keeps others out for as long as it lives.
        self.lock_fd: Final = lock_fd

    @classmethod
    @contextmanager
    def open(cls, path: Path, patience_s: float = ORPHANS_TIMEOUT_S) -> Iterator[DataDir]:
        """Makes the directory where there is none (mode 0700), and holds its lock.

        When the service that held the lock has died, waits up to `patience_s` for what it has started to end too.

        Raises:
            Conflict: another service uses it, or it is a directory of something else.
            StoreUnavailable: it cannot be made or used.
        """
        try:
            _make_private(path)
            lock_fd = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise StoreUnavailable(f"the data directory {path} cannot be used: {exc.strerror or exc}") from exc
        try:
            _lock(lock_fd, path, time.monotonic() + patience_s)
            yield cls(path, lock_fd)
        finally:
            os.close(lock_fd)

    def folder(self, name: str) -> Path:
        """A folder in the directory, made where there is none, open to its owner alone."""
        path = self._path / name
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def master_key(self, given: bytes) -> bytes:
        """The key that all others come from: the given one, or (empty) the directory's own, made at the first start.

        Raises:
            StoreUnavailable: the file is damaged, or does not hold the given key, with which links were signed.
        """
        text = self._kept("master.key", (given or secrets.token_bytes(KEY_BYTES)).hex)
        try:
            kept = key(text)
        except ValueError:
            raise StoreUnavailable(f"{self._path / 'master.key'} is damaged: put it back from a back-up") from None
        if given and given != kept:
            raise StoreUnavailable(f"the master key given is not the one in {self._path / 'master.key'}")
        return kept

    def admin_key(self, given: Secret | None) -> Secret:
        """The bearer key for accounts: the given one, or the directory's own, made at the first start.

        Raises:
            StoreUnavailable: the file is damaged.
        """
        if given is not None:
            return given
        try:
            return bearer_key(self._kept("admin.key", _new_admin_key))
        except ValueError:
            raise StoreUnavailable(f"{self._path / 'admin.key'} is damaged: remove it, and a new one is made") from None

    def _kept(self, name: str, make: Callable[[], str]) -> str:
        path = self._path / name
        try:
            return path.read_text().strip()
        except FileNotFoundError:
            value = make()
            write_private(path, value + "\n")
            return value
        except (OSError, UnicodeDecodeError) as exc:
            raise StoreUnavailable(f"{path} cannot be read: {exc}") from exc


def _new_admin_key() -> str:
    return f"fla_{secrets.token_urlsafe(32)}"


def _make_private(path: Path) -> None:
    """Makes the directory, or closes to others one that is empty or ours already; another's stays as it is."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = {entry.name for entry in path.iterdir()}
    if names - _HARMLESS and not names & _OURS:
        raise Conflict(f"{path} holds files that are not this service's: name a new or empty directory with --data-dir")
    path.chmod(0o700)


def _lock(lock_fd: int, path: Path, deadline_s: float) -> None:
    while not _try_lock(lock_fd):
        owner = os.pread(lock_fd, 32, 0).decode(errors="replace").strip() or "unknown"
        if _is_alive(owner) or time.monotonic() > deadline_s:
            what = "another service" if _is_alive(owner) else "what a service that has died had started"
            detail = f"{path} is in use by {what} (process {owner}): stop that one, or choose another --data-dir"
            raise Conflict(detail)
        time.sleep(_POLL_S)
    os.ftruncate(lock_fd, 0)
    os.pwrite(lock_fd, f"{os.getpid()}\n".encode(), 0)


def _try_lock(lock_fd: int) -> bool:
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
    """Writes a file that its owner alone can read. It is there whole or not at all, after a power cut too."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def runtime_dir_path(data_dir: Path) -> Path:
    """A directory with a short path for what a data directory's path may be too long: sockets. Always the same one."""
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:12]
    path = Path(tempfile.gettempdir()) / f"fl-{os.getuid()}-{name}"
    return path if len(os.fsencode(path)) <= _MAX_SHORT_BYTES else Path("/tmp", path.name)  # noqa: S108


def make_private_dir(path: Path) -> None:
    """Makes a directory that is ours alone, also where everybody may write.

    Raises:
        StoreUnavailable: what is there belongs to somebody else, or is no directory.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise StoreUnavailable(f"{path} is not ours: remove it, or set TMPDIR to another directory")
    path.chmod(0o700)

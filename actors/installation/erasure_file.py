"""File of erasures: one JSON line for each, so that a restored backup from before can be erased again.

It shows no address, only a digest with a key of the installation (`domain.erasure.person_digest`). A front end keeps
one in its data directory, and another where `--erasures-file` says, which should survive the data directory.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import msgspec

from actors.compatibility import WireStruct
from actors.settings.data_dir import make_durable
from domain.errors import StoreUnavailable

#: Its name in the data directory.
FILE: Final = "erasures.ndjson"


class ErasureLine(WireStruct, frozen=True, kw_only=True):
    """One erasure. If an id has several lines, the last one counts: the person was erased again meanwhile."""

    id: str
    #: The account's id; None for all accounts.
    account: str | None
    #: Hexadecimal.
    digest: str
    #: RFC 3339: data up to this time was erased.
    at: str
    #: Whether it stays known that the person had unsubscribed.
    keep_opt_out: bool = False

    @classmethod
    def until(cls, until_ms: int, **facts: Any) -> Self:
        """A line for data up to this Unix time (milliseconds)."""
        moment = datetime.fromtimestamp(until_ms // 1000, UTC).replace(microsecond=until_ms % 1000 * 1000, tzinfo=None)
        return cls(at=f"{moment.isoformat(timespec='milliseconds')}Z", **facts)

    @property
    def until_ms(self) -> int:
        """The Unix time of `at`, milliseconds.

        Raises:
            ValueError: `at` is not such a time.
        """
        since = datetime.fromisoformat(self.at) - datetime.fromtimestamp(0, UTC)
        return since // timedelta(milliseconds=1)


class ErasureLines(NamedTuple):
    """The contents of a file."""

    #: By id, in the order of the file.
    lines: dict[str, ErasureLine]
    #: Numbers of lines that cannot be read; the first line is 1.
    unreadable: list[int]


_decode: Final = msgspec.json.Decoder(ErasureLine).decode


def read_erasures(path: Path) -> ErasureLines:
    """Reads a file; one that does not exist is empty. The end of a line that was cut off by a crash does not count.

    Raises:
        StoreUnavailable: it cannot be read.
    """
    try:
        return _parsed(path.read_bytes())
    except FileNotFoundError:
        return ErasureLines({}, [])
    except OSError as exc:
        raise StoreUnavailable(f"{path} cannot be read: {exc.strerror or exc}") from exc


def add_erasures(path: Path, lines: Sequence[ErasureLine]) -> None:
    """Adds those lines that the file does not have; durable when this returns. Creates the file for its owner only.

    Several processes may add lines to one file.

    Raises:
        StoreUnavailable: it cannot be read or written.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            content = file.readall()
            # A crash may have cut off the last line, which was not confirmed: its front end adds it again.
            end = content.rfind(b"\n") + 1
            known = _parsed(content).lines
            added = b"".join(msgspec.json.encode(line) + b"\n" for line in lines if known.get(line.id) != line)
            if added or end < len(content):
                file.truncate(end)
                file.seek(end)
                _write_all(file.fileno(), added)
            os.fsync(file.fileno())
        make_durable(path.parent)
    except OSError as exc:
        raise StoreUnavailable(f"{path} cannot be written: {exc.strerror or exc}") from exc


def merged(files: Iterable[ErasureLines]) -> list[ErasureLine]:
    """The erasures of several files: of each id the latest line."""
    together: dict[str, ErasureLine] = {}
    for file in files:
        for line in file.lines.values():
            known = together.get(line.id)
            if known is None or known.at < line.at:
                together[line.id] = line
    return list(together.values())


def _parsed(content: bytes) -> ErasureLines:
    lines: dict[str, ErasureLine] = {}
    unreadable = []
    for number, text in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            line = _decode(text)
            _ = line.until_ms
        except (msgspec.MsgspecError, ValueError, TypeError):
            unreadable.append(number)
        else:
            lines[line.id] = line
    return ErasureLines(lines, unreadable)


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]

"""Owner lock of a journal: one process at a time."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import BinaryIO

from domain.errors import StoreUnavailable


def lock_journal(path: Path) -> BinaryIO:
    """Locks the file next to the journal and returns it, open; the lock ends with the file or the process.

    Two writers would overwrite each other's hits.

    Raises:
        StoreUnavailable: another process holds the lock.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = path.with_name(f"{path.name}.lock").open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise StoreUnavailable(f"the journal {path} is open in another process; stop that one first") from None
    except BaseException:
        file.close()
        raise
    return file

"""Files of a front end that outlive an erasure: its files of erasures, and what others left in its data directory."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from actors.installation.erasure_file import FILE, ErasureLine, add_erasures, merged, read_erasures
from actors.settings.data_dir_watch import UNWATCHED, DataDirWatch
from api.journal.spill import Spill, made_ns

log = logging.getLogger(__name__)

#: What people have to remove themselves, because it may hold what is nowhere else.
_LEFT_BEHIND = ("journal.corrupt-*", "spool.corrupt-*", "ledger.moved.sqlite")


class ErasureFiles:
    """The file of erasures in the data directory, and the one elsewhere. Blocks: call it in a thread."""

    def __init__(
        self, data_dir: Path, elsewhere: Path | None, watch: DataDirWatch = UNWATCHED, spill: Spill | None = None
    ) -> None:
        """`spill`: where earlier stops may have put hits, which this start imports into the journal."""
        self._data_dir = data_dir
        self._spill = spill
        self._since_ns = time.time_ns()
        self._paths = [data_dir / FILE] + ([] if elsewhere is None else [elsewhere])
        self._watch = watch

    def read(self) -> list[ErasureLine]:
        """The erasures of both files.

        Raises:
            StoreUnavailable: one of them cannot be read.
        """
        self._watch.require_readable()
        files = [read_erasures(path) for path in self._paths]
        for path, found in zip(self._paths, files, strict=True):
            if found.unreadable:
                facts = {"action": "erasures_unreadable", "path": str(path), "lines": found.unreadable[:10]}
                log.error("lines of a file of erasures cannot be read: they would not be repeated", extra=facts)
        return merged(files)

    def add(self, lines: Sequence[ErasureLine]) -> None:
        """Adds lines to both files, unless they are there.

        Raises:
            StoreUnavailable: one of them cannot be written.
            DataDirLost: the data directory was deleted or replaced.
        """
        self._watch.require()
        for path in self._paths:
            add_erasures(path, lines)

    def has_spilled(self) -> bool:
        """Whether hits that were spilled before this start are not in the journal yet. Raises `OSError`."""
        return self._spill is not None and any(made_ns(path) < self._since_ns for path in self._spill.files())

    def left_behind(self) -> list[str]:
        """A sentence about each file in the data directory that may still show the person."""
        found = sorted(path.name for pattern in _LEFT_BEHIND for path in self._data_dir.glob(pattern))
        if found:
            facts = {"action": "erasure_left_behind", "names": found}
            log.warning("files in the data directory may still show a person that was erased", extra=facts)
        where = f"in the data directory of {socket.gethostname()}"
        sentences = [f"{name} {where}: import it if it is a journal, and remove it." for name in found]
        damaged = [] if self._spill is None else self._spill.damaged()
        return sentences + [f"{path} on {socket.gethostname()}: remove it." for path in damaged]

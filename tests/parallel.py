"""Which tests one process takes when several run them, and which begin first."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from xdist.scheduler import LoadScopeScheduling

#: The kinds of tests that begin first, since they take longest; the others fill what is left of the time.
LONGEST_FIRST: Final = ("chaos", "cluster", "e2e", "docs", "browser", "integration")
#: The kinds whose files share what takes long to make, or would be in each other's way.
TOGETHER: Final = frozenset({"cluster", "docs"})


def rank(path: PurePosixPath) -> int:
    """Where a file of tests stands in the order: the lower, the earlier. `path` begins with the kind of tests."""
    kind = path.parts[0]
    return LONGEST_FIRST.index(kind) if kind in LONGEST_FIRST else len(LONGEST_FIRST)


def scope(node_id: str) -> str:
    """What a test is taken with, by the same process, in order: its file, or all files of its kind."""
    file = node_id.partition("::")[0]
    _, kind, *_ = PurePosixPath(file).parts
    return kind if kind in TOGETHER else file


class FileScheduler(LoadScopeScheduling):  # type: ignore[misc]  # xdist says nothing of its types
    """Gives each process one scope after another, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)

"""Distribution of tests over processes, and the order in which they start."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from xdist.scheduler import LoadScopeScheduling

#: Kinds of tests that start first, because they take longest; the others fill the remaining time.
LONGEST_FIRST: Final = ("chaos", "cluster", "e2e", "docs", "browser", "integration", "properties")
#: Kinds whose files share expensive fixtures, or would disturb each other.
TOGETHER: Final = frozenset({"cluster", "docs"})


def rank(path: PurePosixPath) -> int:
    """Position of a test file in the order; lower is earlier. `path` starts with the kind of tests."""
    kind = path.parts[0]
    return LONGEST_FIRST.index(kind) if kind in LONGEST_FIRST else len(LONGEST_FIRST)


def scope(node_id: str) -> str:
    """The group of tests that one process runs in order with this one: its file, or all files of its kind."""
    file = node_id.partition("::")[0]
    _, kind, *_ = PurePosixPath(file).parts
    return kind if kind in TOGETHER else file


class FileScheduler(LoadScopeScheduling):  # type: ignore[misc]  # xdist is untyped
    """Assigns whole scopes to processes, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)

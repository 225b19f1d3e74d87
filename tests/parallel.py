"""Distribution of tests over processes, and the order in which they start."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Final

from xdist.scheduler import LoadScopeScheduling

#: Kinds and files of tests that start first, because they take longest; the others fill the remaining time.
LONGEST_FIRST: Final = (
    "cluster",
    "docs",
    "chaos",
    "e2e/test_key_runbooks.py",
    "e2e",
    "browser",
    "unit/api/cli/test_terminal.py",
    "integration",
    "properties",
    "unit/actors/returned_mail/test_mutations.py",
    "unit/actors/delivery/test_lane_recovery.py",
)
#: Kinds whose files share expensive fixtures, or would disturb each other.
TOGETHER: Final = frozenset({"cluster", "docs"})
#: Files of `e2e` that share the package's service, whose start takes longer than most of their tests.
ONE_SERVICE: Final = frozenset(
    {
        "test_doctor.py",
        "test_examples.py",
        "test_lifecycle.py",
        "test_main_job.py",
        "test_metrics.py",
        "test_php_handler.py",
        "test_private_handlers.py",
        "test_profiles.py",
        "test_reports.py",
        "test_reports_survive.py",
        "test_sockets_before_authentication.py",
    }
)


def rank(path: PurePosixPath) -> int:
    """Position of a test file in the order; lower is earlier. `path` starts with the kind of tests."""
    for entry in (path, *path.parents):
        if str(entry) in LONGEST_FIRST:
            shared = entry.name == "e2e" and path.name in ONE_SERVICE
            return 2 * LONGEST_FIRST.index(str(entry)) + (0 if shared else 1)
    return 2 * len(LONGEST_FIRST)


def scope(node_id: str) -> str:
    """The group of tests that one process runs in order with this one: its file, or files that belong together."""
    file = node_id.partition("::")[0]
    _, kind, *_, name = PurePosixPath(file).parts
    if kind == "e2e" and name in ONE_SERVICE:
        return "e2e with one service"
    return kind if kind in TOGETHER else file


class FileScheduler(LoadScopeScheduling):  # type: ignore[misc]  # xdist is untyped
    """Assigns whole scopes to processes, in the order of collection."""

    def _split_scope(self, nodeid: str) -> str:
        return scope(nodeid)

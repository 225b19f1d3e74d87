"""Schema migrations of both stores: their files, and which schema versions this program can use.

Each store keeps its migrations in a package of `NNNN_name.sql` files; file NNNN brings the schema from version NNNN - 1
to NNNN. A released file is never edited: every change of the schema is a new file. The schema is the same on both
stores, so that rows can be copied from one to the other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import NamedTuple

from domain.errors import NotMigrated, StoreError


class Migration(NamedTuple):
    """An SQL script that brings the schema from `version - 1` to `version`."""

    version: int
    script: str

    @property
    def only_adds(self) -> bool:
        """Whether programs that do not know this version can use the schema unchanged. Marked by `-- only adds`."""
        return re.search(r"^-- only adds$", self.script, re.MULTILINE) is not None


def load_migrations(package: str) -> tuple[Migration, ...]:
    """The migrations in a package, in order.

    Raises:
        RuntimeError: a version is missing.
    """
    named = [(re.fullmatch(r"(\d{4})_\w+\.sql", file.name), file) for file in files(package).iterdir()]
    found = tuple(sorted(Migration(int(match[1]), file.read_text("utf-8")) for match, file in named if match))
    versions = [migration.version for migration in found]
    if versions != list(range(1, len(found) + 1)):
        raise RuntimeError(f"{package} lacks migrations: its versions are {versions}")
    return found


def series_mark(migrations: Sequence[Migration]) -> int:
    """A number of 31 bits that a store keeps: a digest of the first script, which development versions changed."""
    return int.from_bytes(hashlib.sha256(migrations[0].script.encode()).digest()[:4], "big") >> 1


def refuse_newer(version: int, newest: int) -> None:
    """Refuses a ledger whose schema version is above `newest`, the newest one that this program knows.

    Raises:
        StoreError: a newer program wrote the ledger.
    """
    if version > newest:
        raise StoreError(
            f"The ledger has schema version {version}, this program knows versions up to {newest}. "
            "Start the newer program that wrote it, or restore a backup made before the upgrade."
        )


def unreleased(remedy: str) -> StoreError:
    """The error for a ledger with an unknown schema: development versions numbered theirs differently."""
    return StoreError(f"The ledger was made by an unreleased version of this program, from before 0.2.0. {remedy}")


def check_current(version: int, newest: int) -> None:
    """Refuses to read a ledger unless its schema version is `newest`.

    Raises:
        StoreError: a newer program wrote the ledger.
        NotMigrated: the writer has not migrated the ledger yet.
    """
    refuse_newer(version, newest)
    if version < newest:
        raise NotMigrated(f"the ledger is at schema version {version} and not migrated to {newest} yet")

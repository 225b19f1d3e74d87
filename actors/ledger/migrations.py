"""Which versions of a ledger's schema this program can work with, on any store."""

from __future__ import annotations

from domain.errors import NotMigrated, StoreError


def refuse_newer(version: int, newest: int) -> None:
    """Returns when the ledger's version is one that this program knows, up to `newest`.

    Raises:
        StoreError: it was written by a newer program.
    """
    if version > newest:
        raise StoreError(
            f"The ledger has schema version {version}, this program knows versions up to {newest}. "
            "Start the newer program that wrote it, or restore a back-up made before the upgrade."
        )


def check_current(version: int, newest: int) -> None:
    """Returns when the ledger has the version that this program reads, `newest`.

    Raises:
        StoreError: it was written by a newer program.
        NotMigrated: the writer has not brought it to this version yet.
    """
    refuse_newer(version, newest)
    if version < newest:
        raise NotMigrated(f"the ledger is at schema version {version} and not migrated to {newest} yet")

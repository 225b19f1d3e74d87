"""Checks of disks: free space, the journal's reserve, and the disk for hits that a stop cannot write."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from actors.settings import Settings
from api.cli.doctor.findings import Finding, ok, problem, warning
from api.journal.preallocation import CannotPreallocate, NoRoom, try_in

#: Free share of the file system below which there is a warning, and a problem.
LITTLE: Final = 0.15
TOO_LITTLE: Final = 0.05
MIB: Final = 1024 * 1024


def check_disk(data_dir: Path, little: float = LITTLE, too_little: float = TOO_LITTLE) -> Sequence[Finding]:
    """Checks that the journal and the ledger have room to grow, in bytes and in files."""
    if not data_dir.exists():
        return []
    usage, files = shutil.disk_usage(data_dir), os.statvfs(data_dir)
    left = min(usage.free / usage.total, files.f_favail / files.f_files if files.f_files else 1.0)
    found = f"{usage.free // MIB} MiB of {usage.total // MIB} are free at {data_dir}, and {files.f_favail} files"
    advice = "Free some space, or keep less (--keep-events, --keep-deliveries, --keep-attempts)."
    if left < too_little:
        return [problem("disk", found, advice)]
    return [warning("disk", found, advice) if left < little else ok("disk", found)]


def check_reserve(settings: Settings) -> Sequence[Finding]:
    """Checks that the journal can reserve room for a full disk, and that there is another disk for a last write."""
    return [*_reserve(settings), *_spill_dir(settings)]


def _reserve(settings: Settings) -> Sequence[Finding]:
    if not settings.data_dir.exists():
        return []
    if not settings.journal_reserve_bytes:
        advice = "Set --journal-reserve: while the disk is full, hits are only in memory."
        return [warning("reserve", "the journal has no reserve for a full disk", advice)]
    try:
        try_in(settings.data_dir)
    except CannotPreallocate as exc:
        advice = "Move the data directory to ext4 or XFS: on a full disk, hits are in memory, and a stop loses them."
        return [warning("reserve", f"the journal cannot reserve room for a full disk: {exc}", advice)]
    except NoRoom as exc:
        advice = "Free some space: a running service has its reserve, but nothing else can be written."
        return [problem("disk", f"the disk of {settings.data_dir} is full: {exc}", advice)]
    return [ok("reserve", f"the journal reserves {settings.journal_reserve_bytes // MIB} MiB for hits on a full disk")]


def _spill_dir(settings: Settings) -> Sequence[Finding]:
    folder = settings.spill_dir
    if folder is None:
        return []
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        advice = "Mount it, or make it and its permissions right: the service does not make it."
        return [problem("spill", f"{folder} is not a directory that this user can write", advice)]
    if settings.data_dir.exists() and folder.stat().st_dev == settings.data_dir.stat().st_dev:
        advice = "Name a directory on another disk with --spill-dir."
        return [warning("spill", f"{folder} is on the same file system as the data directory", advice)]
    return [ok("spill", f"{folder} is on another file system and can be written")]

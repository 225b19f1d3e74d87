"""Limits of the journal: memory and waiting times."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalLimits:
    """How much a journal keeps in memory, and how long it waits."""

    #: Maximum number of hits kept in memory while the disk does not work.
    kept_hits: int = 100_000
    #: Their maximum total size.
    kept_bytes: int = 64 << 20
    #: Seconds between retries of a disk that does not work.
    retry_s: float = 1.0
    #: Seconds a commit may take before the disk counts as not working.
    stuck_s: float = 2.0
    #: Seconds that removals wait for a commit of hits before they get their own.
    removal_delay_s: float = 0.1
    #: Seconds that reports wait for a commit of hits before they get their own.
    report_delay_s: float = 0.005
    #: Seconds between two log entries about lost hits.
    complaint_s: float = 10.0

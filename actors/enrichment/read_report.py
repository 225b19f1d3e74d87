"""A report that has been read: what it says, and about which message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from domain.reports.intake import Report, ReturnedMailEntry
from domain.reports.statements import MessageKeys, Statement


class ReadReport(NamedTuple):
    """A report, and what it says."""

    entry: Report | ReturnedMailEntry
    #: A trigger's name, or the kind of a returned mail.
    kind: str
    keys: MessageKeys
    statements: Sequence[Statement]
    is_unreadable: bool = False
    #: Whether parts of a returned mail were ignored.
    is_truncated: bool = False

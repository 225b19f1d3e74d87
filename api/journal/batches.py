"""Batches of journal entries: how many of the first entries go into one."""

from __future__ import annotations

from itertools import accumulate

from actors.commands.intake import RETURNED_MAIL, spool_name

#: Entries with their numbers, in order.
Hits = list[tuple[int, bytes]]


def first_alike(hits: Hits) -> Hits:
    """The first entries that go into one batch: either returned mails, which take long to parse, or none.

    A mail in a spool file is a batch of its own.
    """
    is_mail = hits[0][1].startswith(RETURNED_MAIL)
    if is_mail and spool_name(hits[0][1]):
        return hits[:1]
    for position, (_, entry) in enumerate(hits):
        if entry.startswith(RETURNED_MAIL) is not is_mail or (is_mail and spool_name(entry)):
            return hits[:position]
    return hits


def first_within(hits: Hits, max_bytes: int) -> Hits:
    """As many of the first entries as have this size together, at least one."""
    sizes = accumulate(len(entry) for _, entry in hits)
    return hits[: max(1, sum(size <= max_bytes for size in sizes))]

"""Matching of reports to messages: set-based look-ups inside the account only, and never by recipient."""

from __future__ import annotations

from collections.abc import Sequence

from actors.ledger.reader import LedgerReader
from domain.reports.statements import MessageKeys
from domain.tracking import MessageFacts

#: A report's account, and what it refers to its message by.
Wanted = tuple[int, MessageKeys]


def matched_messages(wanted: Sequence[Wanted], reader: LedgerReader) -> list[MessageFacts | None]:
    """The message of each report, or None. The most reliable key that names a message of the account decides."""
    by_id = reader.message_keys("id", {(no, id_) for no, keys in wanted for id_ in keys.ids})
    by_reference = reader.message_keys("reference", {(no, text) for no, keys in wanted for text in keys.references})
    candidates = [
        [
            *keys.keys,
            *(by_id[no, id_] for id_ in keys.ids if (no, id_) in by_id),
            *(by_reference[no, text] for text in keys.references if (no, text) in by_reference),
        ]
        for no, keys in wanted
    ]
    if unknown := {(no, text) for no, keys in wanted for text in keys.references if (no, text) not in by_reference}:
        erased = reader.erased_message_keys(unknown)
        for (no, keys), found in zip(wanted, candidates, strict=True):
            found.extend(erased[no, text] for text in keys.references if (no, text) in erased)
    messages = reader.messages({key for keys in candidates for key in keys})
    return [
        next((m for key in keys if (m := messages.get(key)) is not None and m.account_no == account_no), None)
        for (account_no, _), keys in zip(wanted, candidates, strict=True)
    ]

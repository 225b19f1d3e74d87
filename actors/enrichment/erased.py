"""Reports about erased people: those of their messages, and those that came before the erasure and name the person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from actors.enrichment.read_report import ReadReport
from actors.ledger.people import person_of
from actors.ledger.reader import LedgerReader
from domain.address_candidates import possible_addresses
from domain.erasure import person_digest
from domain.tracking import MessageFacts

#: Addresses of one report that are compared.
_MAX_ADDRESSES: Final = 20_000


def erased_reports(
    reports: Sequence[ReadReport], messages: Sequence[MessageFacts | None], reader: LedgerReader
) -> set[int]:
    """Positions of the reports of which nothing is recorded. `messages`: the message of each.

    A report without a message may have waited somewhere since before its person was erased, when it was not searched.
    """
    found = {number for number, message in enumerate(messages) if message is not None and message.is_erased}
    for number, (report, message) in enumerate(zip(reports, messages, strict=True)):
        if message is None and _names_erased_person(report, reader):
            found.add(number)
    return found


def _names_erased_person(report: ReadReport, reader: LedgerReader) -> bool:
    erased = reader.erased_since(report.entry.account_no, report.entry.arrived_ms)
    if not erased:
        return False
    key = reader.digest_key()
    people = {person_of(address) for address in _addresses(report)}
    return any(person_digest(key, person) in erased for person in people)


def _addresses(report: ReadReport) -> list[str]:
    texts = [statement.recipient or "" for statement in report.statements]
    texts += [each for statement in report.statements for each in statement.fields.values() if isinstance(each, str)]
    mails = [statement.mime for statement in report.statements if statement.mime]
    return possible_addresses(texts, mails, _MAX_ADDRESSES)

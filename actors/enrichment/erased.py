"""Reports about erased people: those of their messages, and those that came before the erasure and name the person."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from actors.enrichment.read_report import ReadReport
from actors.ledger.people import person_of
from actors.ledger.reader import LedgerReader
from domain.erasure import person_digest
from domain.text_decodings import decoded_parts, quoted_printable
from domain.tracking import MessageFacts

#: Whatever may be an address; long runs of other characters are skipped in linear time.
_ADDRESS: Final = re.compile(r"[^\s<>()\[\]\",;:@=]{1,64}@[^\s<>()\[\]\",;:@=]{1,255}")
#: Addresses of one report that are compared.
_MAX_ADDRESSES: Final = 1000


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
    account_no, arrived_ms = report.entry.account_no, report.entry.arrived_ms
    if not reader.has_erasure_since(account_no, arrived_ms):
        return False
    people = {person_of(address) for address in _addresses(report)}
    digests = [person_digest(reader.digest_key(), person) for person in people]
    return reader.is_any_erased(account_no, digests, arrived_ms)


def _addresses(report: ReadReport) -> Iterator[str]:
    seen: set[str] = set()
    for text in _texts(report):
        for match in _ADDRESS.finditer(text):
            address = match[0].strip(".'*_`")
            if address not in seen:
                seen.add(address)
                yield address
            if len(seen) >= _MAX_ADDRESSES:
                return


def _texts(report: ReadReport) -> Iterator[str]:
    for statement in report.statements:
        yield statement.recipient or ""
        yield from (value for value in statement.fields.values() if isinstance(value, str))
        if statement.mime:
            source = statement.mime.encode("utf-8", "surrogatepass")
            yield statement.mime
            yield quoted_printable(source).decode("utf-8", "replace")
            yield decoded_parts(source).texts.decode("utf-8", "replace")

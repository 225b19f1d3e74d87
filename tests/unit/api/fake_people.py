"""What is kept about people in memory, as the actors answer it."""

from __future__ import annotations

from collections import defaultdict

from actors.commands.recipients import CountRecipient, ExportedRecord, ExportPage, ExportRecipient, RecipientCounts
from domain.errors import InvalidInput
from domain.values import email_problem

#: Records of a page.
PAGE = 2


class FakePeople:
    """The part of `FakeClient` that reads what is kept about people."""

    def __init__(self) -> None:
        super().__init__()
        #: By account number and address.
        self.people: defaultdict[tuple[int, str], list[ExportedRecord]] = defaultdict(list)

    def _export_recipient(self, x: ExportRecipient) -> ExportPage:
        _check(x.email)
        records = self.people[x.account.no, x.email]
        start = int(x.cursor or 0)
        following = str(start + PAGE) if start + PAGE < len(records) else None
        return ExportPage(records=records[start : start + PAGE], next=following)

    def _count_recipient(self, x: CountRecipient) -> RecipientCounts:
        _check(x.email)
        records = self.people[x.account.no, x.email]
        return RecipientCounts(
            messages=sum(record.message is not None for record in records),
            events=sum(record.event is not None for record in records),
            deliveries=sum(record.delivery is not None for record in records),
            profiles=sum(record.profile is not None for record in records),
            has_opt_out=any(record.opted_out_at_ms is not None for record in records),
        )


def _check(email: str) -> None:
    if problem := email_problem(email):
        raise InvalidInput.at("/email", problem)

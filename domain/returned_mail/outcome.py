"""Events that a returned mail causes. Source: the contract, section 6."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from domain.event_catalogue.triggers import Trigger
from domain.returned_mail.report import Kind, RecipientReport, ReturnedMail

#: Events of the whole mail. Kinds that are not listed cause none and are only counted.
_OF_MAIL: Final[Mapping[Kind, str]] = {
    Kind.FAILED: Trigger.BOUNCE,
    Kind.DELAYED: Trigger.BOUNCE,
    Kind.BOUNCE: Trigger.BOUNCE,
    Kind.AUTO_REPLY: Trigger.BOUNCE,
    Kind.CHALLENGE: Trigger.BOUNCE,
    Kind.OTHER: Trigger.BOUNCE,
    Kind.UNREADABLE: Trigger.BOUNCE,
    Kind.ABUSE: Trigger.ABUSE,
    Kind.FRAUD: Trigger.ABUSE,
    Kind.VIRUS: Trigger.ABUSE,
    Kind.OPT_OUT: Trigger.UNSUBSCRIBE,
}
_DELIVERED: Final = frozenset({Kind.DELIVERED, Kind.RELAYED})


class Outcome(NamedTuple):
    """An event to record. `recipient` is None for an event of the whole mail."""

    type: str
    recipient: RecipientReport | None


def outcomes(report: ReturnedMail) -> tuple[Outcome, ...]:
    """The events of a mail, those of its recipients first.

    A DSN causes `failure` for each failed and `delivery` for each delivered recipient. Another notification causes
    `failure` for each recipient with a permanent or temporary reply.
    """
    events = [
        Outcome(type_, recipient)
        for recipient in report.recipients
        if (type_ := _event_of_recipient(report.kind, recipient)) is not None
    ]
    if report.kind in _OF_MAIL:
        events.append(Outcome(_OF_MAIL[report.kind], None))
    return tuple(events)


def _event_of_recipient(kind: Kind, recipient: RecipientReport) -> str | None:
    if recipient.action in _DELIVERED:
        return Trigger.DELIVERY
    if kind is Kind.BOUNCE:
        class_ = recipient.extended[:1] or str(recipient.code or "")[:1]
        return Trigger.FAILURE if class_ in ("4", "5") and recipient.action != Kind.DELAYED else None
    return Trigger.FAILURE if recipient.action == Kind.FAILED else None

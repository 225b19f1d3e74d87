"""Events that a returned mail causes."""

from __future__ import annotations

import pytest

from domain.returned_mail.outcome import outcomes
from domain.returned_mail.report import Kind, RecipientReport, ReturnedMail


def recipient(action: str = "", code: int | None = None, extended: str = "") -> RecipientReport:
    return RecipientReport(address="a@example.com", action=action, code=code, extended=extended)


@pytest.mark.parametrize(
    ("kind", "recipients", "events"),
    [
        (Kind.FAILED, [recipient("failed"), recipient("failed")], ["failure", "failure", "bounce"]),
        (Kind.FAILED, [recipient("failed"), recipient("relayed")], ["failure", "delivery", "bounce"]),
        (Kind.FAILED, [recipient("failed"), recipient("delayed")], ["failure", "bounce"]),
        (Kind.DELAYED, [recipient("delayed")], ["bounce"]),
        (Kind.DELIVERED, [recipient("delivered")], ["delivery"]),
        (Kind.RELAYED, [recipient("relayed")], ["delivery"]),
        (Kind.EXPANDED, [recipient("expanded")], []),
        (Kind.ABUSE, [recipient()], ["abuse"]),
        (Kind.FRAUD, [], ["abuse"]),
        (Kind.VIRUS, [], ["abuse"]),
        (Kind.OPT_OUT, [recipient()], ["unsubscribe"]),
        (Kind.NOT_SPAM, [recipient()], []),
        (Kind.AUTH_FAILURE, [recipient()], []),
        (Kind.AUTO_REPLY, [recipient()], ["bounce"]),
        (Kind.AUTO_REPLY, [recipient("failed", 550, "5.1.1")], ["failure", "bounce"]),
        (Kind.CHALLENGE, [recipient()], ["bounce"]),
        (Kind.OTHER, [], ["bounce"]),
        (Kind.UNREADABLE, [], ["bounce"]),
        (Kind.BOUNCE, [recipient("failed")], ["bounce"]),
        (Kind.BOUNCE, [recipient("failed", 550)], ["failure", "bounce"]),
        (Kind.BOUNCE, [recipient("failed", None, "4.2.2")], ["failure", "bounce"]),
        (Kind.BOUNCE, [recipient("delayed", 451)], ["bounce"]),
        (Kind.BOUNCE, [recipient("failed", 250)], ["bounce"]),
    ],
)
def test_events_follow_the_contract(kind: Kind, recipients: list[RecipientReport], events: list[str]) -> None:
    """One event for each recipient with a result, and at most one for the mail."""
    found = outcomes(ReturnedMail(kind=kind, recipients=tuple(recipients)))

    assert [outcome.type for outcome in found] == events
    assert [outcome.recipient is None for outcome in found].count(True) <= 1


def test_every_kind_is_decided() -> None:
    """A new kind needs a row above."""
    marks = [mark for mark in test_events_follow_the_contract.pytestmark if mark.name == "parametrize"]  # type: ignore[attr-defined]
    assert {row[0] for row in marks[0].args[1]} == set(Kind)

"""Notifications of mail servers that are no DSN: only their text shows what happened."""

from __future__ import annotations

from typing import Final

from domain.returned_mail.evidence import bounce_points, speaks_of_delay
from domain.returned_mail.finding import Finding, count_words, paragraph_at, reason_for, recipient
from domain.returned_mail.limits import MAX_RECIPIENTS
from domain.returned_mail.mail import Mail
from domain.returned_mail.recipients import Named, named_in
from domain.returned_mail.report import Kind, RecipientReport
from domain.returned_mail.statuses import NO_REPLY, Reply, find_reply

#: Words besides the address that say something about a recipient.
_WORDS_OF_EXPLANATION: Final = 2


def read_server_notice(mail: Mail) -> Finding | None:
    """A mail with signs of a bounce. Its recipients and replies come from its text."""
    points = bounce_points(mail)
    if points < 2:
        return None
    named = named_in(mail) or [Named("", "", mail.text)]
    in_mail = find_reply(mail.text)
    delayed = speaks_of_delay(mail) and (not in_mail.is_known or str(in_mail.code or in_mail.extended)[0] == "4")
    # Without words of its own, a recipient shares the reply of the others.
    has_replies = len(named) > 1 and any(find_reply(one.text).is_known for one in named[:MAX_RECIPIENTS])
    # What stands before the recipients is about all of them.
    common = mail.text[: min(one.line_start for one in named)] if len(named) > 1 else mail.text
    reports = tuple(
        _report(one, mail.text, common, NO_REPLY if has_replies and _is_explained(one) else in_mail, delayed=delayed)
        for one in named[:MAX_RECIPIENTS]
    )
    return Finding(kind=Kind.BOUNCE, recipients=reports, truncated=len(named) > MAX_RECIPIENTS)


def _report(named: Named, whole_text: str, common: str, in_mail: Reply, *, delayed: bool) -> RecipientReport:
    text = named.text
    reply = in_mail if text is whole_text else find_reply(text)
    if not reply.is_known:
        reply, text = in_mail, whole_text
    if str(reply.code or reply.extended)[:1] not in ("4", "5"):
        # A transcript also has positive replies, and versions look like a positive status.
        reply = NO_REPLY
    if reply.is_known:
        description = paragraph_at(text, reply.start)
    elif named.text is not whole_text and _is_explained(named):
        description = reason_for(named.final_address or named.address, named.text, 0)
    else:
        description = reason_for(named.final_address or named.address, whole_text, named.line_start)
    context = common if _is_explained(named) else whole_text
    action = "delayed" if delayed else "failed"
    return recipient(named.address, named.final_address, action, reply, description, context)


def _is_explained(named: Named) -> bool:
    """Whether the text about a recipient has more words than its address."""
    return count_words(named.text, named.final_address or named.address) >= _WORDS_OF_EXPLANATION

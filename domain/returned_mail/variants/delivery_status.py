"""Delivery status notifications. Sources: RFC 3464, RFC 6533 for internationalised addresses."""

from __future__ import annotations

import re
from typing import Final

from domain.returned_mail import addresses
from domain.returned_mail.fields import Fields, groups
from domain.returned_mail.finding import Finding, paragraph_at, reason_for, recipient
from domain.returned_mail.limits import MAX_RECIPIENTS
from domain.returned_mail.mail import STATUS_TYPES, Mail
from domain.returned_mail.recipients import Named, named_in
from domain.returned_mail.report import Kind, RecipientReport
from domain.returned_mail.statuses import NO_REPLY, Reply, better, clean, find_reply, is_general

#: The worst comes first: it is the kind of the whole mail.
_KINDS: Final = (Kind.FAILED, Kind.DELAYED, Kind.DELIVERED, Kind.RELAYED, Kind.EXPANDED)
#: Beginnings of actions; some programs use other forms of the words, such as `failure` or `error`.
_ACTIONS: Final = (
    ("fail", Kind.FAILED),
    ("err", Kind.FAILED),
    ("reject", Kind.FAILED),
    ("delay", Kind.DELAYED),
    ("deliver", Kind.DELIVERED),
    ("relay", Kind.RELAYED),
    ("expand", Kind.EXPANDED),
)
_BY_CLASS: Final = {"2": Kind.DELIVERED, "4": Kind.DELAYED, "5": Kind.FAILED}
_DIAGNOSTIC_TYPE: Final = re.compile(r"^\s{0,8}[A-Za-z][\w.-]{0,40}\s{0,8};\s{0,8}")
_STATUS_FIELD: Final = re.compile(r"^(?:final|original)-recipient:", re.IGNORECASE | re.MULTILINE)
_ADDRESS_FIELDS: Final = ("original-recipient", "final-recipient", "x-actual-recipient", "x-failed-recipient")


def read_delivery_status(mail: Mail) -> Finding | None:
    """A mail with fields of a recipient, in a part of their own or in its text."""
    text = mail.machine_text(*STATUS_TYPES, field=_STATUS_FIELD)
    found = list(groups(text)) if text else []
    about_recipients = _about_recipients(found)
    if not about_recipients:
        return None
    named = _NamedRecipients(mail)
    reports = tuple(
        _report(fields, named, single=len(about_recipients) == 1) for fields in about_recipients[:MAX_RECIPIENTS]
    )
    envelope_id = next((fields["original-envelope-id"] for fields in found if "original-envelope-id" in fields), "")
    actions = {report.action for report in reports}
    return Finding(
        kind=next(kind for kind in _KINDS if kind in actions),
        recipients=_without_repeats(reports),
        envelope_id=envelope_id,
        truncated=len(about_recipients) > MAX_RECIPIENTS,
    )


class _NamedRecipients:
    """Recipients that the notification's text names, found when a field lacks something."""

    def __init__(self, mail: Mail) -> None:
        self._mail = mail
        self._named: list[Named] | None = None
        #: Many recipients can share a text.
        self._replies: dict[str, Reply] = {}

    @property
    def all(self) -> list[Named]:
        if self._named is None:
            self._named = named_in(self._mail)
        return self._named

    def text_about(self, names: set[str], *, single: bool) -> str:
        if single:
            return self._mail.text
        for named in self.all:
            if {named.address.casefold(), named.final_address.casefold()} & names:
                return named.text
        return ""

    def reply_in(self, text: str) -> Reply:
        if text not in self._replies:
            self._replies[text] = find_reply(text)
        return self._replies[text]

    def reason_for(self, address: str, final: str, *, single: bool) -> str:
        """The words of the text about a recipient, if the text has its address."""
        text = self._mail.text
        folded = text[:20_000].casefold()
        mentioned = next((name for name in (address, final) if name and name.casefold() in folded), "")
        at = folded.find(mentioned.casefold())
        return reason_for(mentioned, text, at) if mentioned or single else ""


def _about_recipients(found: list[Fields]) -> list[Fields]:
    """The groups about recipients. Some programs put the action into the group about the whole mail."""
    with_address = [fields for fields in found if _has_result(fields) and _address_fields(fields)]
    if not with_address:
        return [fields for fields in found if "action" in fields]
    common = next((fields["action"] for fields in found if "action" in fields and not _address_fields(fields)), "")
    return [{"action": common} | fields for fields in with_address]


def _address_fields(fields: Fields) -> bool:
    return "final-recipient" in fields or "original-recipient" in fields


def _has_result(fields: Fields) -> bool:
    """Whether a group shows what happened, or can be nothing else than a group about a recipient."""
    return not fields.keys().isdisjoint(("action", "status", "diagnostic-code")) or "reporting-mta" not in fields


def _report(fields: Fields, named: _NamedRecipients, *, single: bool) -> RecipientReport:
    found = [address for name in _ADDRESS_FIELDS if (address := addresses.of_status_field(fields.get(name, "")))]
    address = found[0] if found else ""
    if not address and single and named.all:
        address = named.all[0].address
    final = addresses.of_status_field(fields.get("final-recipient", ""))
    diagnostic = _DIAGNOSTIC_TYPE.sub("", fields.get("diagnostic-code", ""), count=1)
    answered = find_reply(diagnostic)
    extended = better(clean(fields.get("status", "")[:500]), answered)
    code = answered.code
    for name in ("status", "action"):
        # Some programs put the server's reply into these fields.
        reply = find_reply(fields.get(name, "")[:500])
        extended, code = extended or reply.extended, code or reply.code
    description = diagnostic
    if is_general(extended) or code is None or not description:
        text = named.text_about({address.casefold(), final.casefold()}, single=single)
        in_text = named.reply_in(text)
        if not extended or (
            in_text.extended[:1] in (extended[:1], "") and str(in_text.code or extended)[0] == extended[0]
        ):
            extended = better(extended, in_text)
            code = code or in_text.code
            if not description and in_text.is_known:
                description = paragraph_at(text, in_text.start)
    description = description or _comment(fields.get("status", "")) or named.reason_for(address, final, single=single)
    if extended and extended != answered.extended and str(code)[:1] != extended[0]:
        code = None
    action = _action(fields.get("action", ""), extended, code)
    return recipient(
        address,
        "" if addresses.same(address, final) else final,
        action,
        Reply(code, extended, -1) if code or extended else NO_REPLY,
        description,
    )


def _action(value: str, extended: str, code: int | None) -> Kind:
    word = value.strip().lower()
    for beginning, kind in _ACTIONS:
        if word.startswith(beginning):
            return kind
    return _BY_CLASS.get(extended[:1] or str(code or "")[:1], Kind.FAILED)


def _comment(status: str) -> str:
    """The text after a status, such as `4.4.1 (no answer from host)`."""
    return status.partition(" ")[2].strip().removeprefix("(").removesuffix(")")


def _without_repeats(reports: tuple[RecipientReport, ...]) -> tuple[RecipientReport, ...]:
    """The reports, with one for each address and action: loops of aliases repeat them."""
    return tuple({(report.address.casefold(), report.action): report for report in reversed(reports)}.values())[::-1]

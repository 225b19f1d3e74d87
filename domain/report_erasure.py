"""Erasure of a person from the events of a report, which may be about several people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from domain.profile_erasure import PersonOf, event_without_data, event_without_person

#: What a report quotes of a mail or of a server's reply: it may name anyone.
_QUOTED: Final = frozenset({"description", "envelope", "mime", "mime_charset", "mime_truncated"})
#: Fields with one address.
_ADDRESSES: Final = ("recipient", "emailfrom")


def are_about(person: str, events: Sequence[Mapping[str, Any]], person_of: PersonOf) -> list[bool]:
    """Which events of a report that names the person are about no one else, so that nothing of their text stays.

    `events`: their fields. One without a recipient is about all recipients of the report.
    """
    recipients = [person_of(event["recipient"]) if event.get("recipient") else None for event in events]
    has_others = any(recipient not in {None, person} for recipient in recipients)
    return [recipient == person or (recipient is None and not has_others) for recipient in recipients]


def event_about_others(fields: Mapping[str, Any], person: str, person_of: PersonOf) -> dict[str, Any]:
    """The fields of an event about others, without anything that may reveal the person."""
    kept = {name: value for name, value in fields.items() if name not in _QUOTED}
    for name in _ADDRESSES:
        if isinstance(kept.get(name), str) and person_of(kept[name]) == person:
            del kept[name]
    return event_without_person(kept, person, person_of)


def event_of_other_recipient(fields: Mapping[str, Any], person: str, person_of: PersonOf) -> dict[str, Any] | None:
    """The fields of an event about someone else that came with a message to the person; None if it is about the person.

    A returned mail about several recipients matches the message to one of them.
    """
    recipient = fields.get("recipient")
    if not isinstance(recipient, str) or person_of(recipient) == person:
        return None
    return event_without_data(event_about_others(fields, person, person_of))

"""Events in the words of a page: title, summary, facts and profile data of each type."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

import msgspec

from actors.commands.events import EventView
from domain.event_catalogue.triggers import EVENT_TYPES, Source, Trigger
from domain.values import event_time_ms

#: Title of an event about a person, by type.
_TITLES: Final[Mapping[str, str]] = {
    Trigger.OPEN: "Open by",
    Trigger.CLICK: "Click by",
    Trigger.DELIVERY: "Delivery to",
    Trigger.BOUNCE: "Bounce of the mail to",
    Trigger.FAILURE: "Failure for",
    Trigger.ABUSE: "Complaint by",
    Trigger.UNSUBSCRIBE: "Unsubscribe by",
}
_CHANGES: Final[Mapping[str, str]] = {Trigger.CREATE: "New", Trigger.UPDATE: "Changed", Trigger.DELETE: "Deleted"}
#: Labels of the fields that an event's page shows by name, in order. The others are in titles, tables or the JSON.
_FACTS: Final[Mapping[str, str]] = {
    "code": "Code",
    "extended": "Status",
    "category": "Category",
    "permanent": "Permanent",
    "action": "Action",
    "state": "Stage",
    "envelope": "Envelope address",
    "emailfrom": "Complaint from",
    "original": "Link",
    "ip": "Address",
    "proxy": "Image proxy",
    "bot_reason": "Machine",
    "mailing": "Mailing",
    "database": "Database",
    "profile": "Profile",
    "collection": "Collection",
    "subprofile": "Subprofile",
    "created": "Created (UTC)",
    "modified": "Modified (UTC)",
}
#: A profile may have many more fields; the event's JSON has all of them.
MAX_DATA_ROWS: Final = 200


class Fields(dict[str, Any]):
    """An event's fields; a missing one reads as None."""

    def __missing__(self, _name: str) -> None:
        return None


class DataRow(NamedTuple):
    """A field or an interest of a profile."""

    name: str
    #: The value at the time of the event; None if it was removed.
    value: str | None
    #: The value in the call that caused the event; None if the call did not have it.
    sent: str | None
    is_changed: bool


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """A recorded event with its decoded fields."""

    event: EventView
    fields: Fields

    @classmethod
    def of(cls, event: EventView) -> Self:
        """Decodes the fields of an event."""
        return cls(event, Fields(msgspec.json.decode(event.fields)))

    @property
    def arrived_ms(self) -> int:
        """When it arrived; `time_ms` of the event is when it happened."""
        return event_time_ms(UUID(self.event.id.removeprefix("evt_")).bytes)

    @property
    def is_of_profile(self) -> bool:
        """Whether it is a change of a profile or subprofile."""
        return EVENT_TYPES[self.event.type].source is Source.PROFILE

    @property
    def title(self) -> str:
        """The event in a few words, such as `Click by ann@example.com`."""
        if self.is_of_profile:
            return f"{_CHANGES[self.event.type]} {self._profile}"
        who = self.fields["recipient"] or self.fields["emailfrom"]
        return f"{_TITLES[self.event.type]} {who}" if who else _TITLES[self.event.type].partition(" ")[0]

    @property
    def _profile(self) -> str:
        if self.fields["subprofile"]:
            return f"subprofile {self.fields['subprofile']}"
        return f"profile {self.fields['profile']}"

    @property
    def what(self) -> str:
        """Details for a list: the link, the server's reply, or the names of what changed."""
        fields = self.fields
        if self.is_of_profile:
            changed = fields["changed"] or []
            return f"{self._profile}: {', '.join(changed)}" if changed else self._profile
        reply = " ".join(str(fields[name]) for name in ("code", "extended", "category") if fields[name])
        told = ": ".join(part for part in (reply, fields["description"] or "") if part)
        return str(told or fields["emailfrom"] or fields["original"] or fields["ip"] or "")

    @property
    def facts(self) -> list[tuple[str, str]]:
        """Label and value of each known field that a page shows by name."""
        return [(label, _fact(name, self.fields[name])) for name, label in _FACTS.items() if name in self.fields]

    @property
    def data(self) -> list[DataRow]:
        """The profile's fields and interests, changed ones first; at most `MAX_DATA_ROWS`."""
        values = {name: _text(value) for name, value in (self.fields["fields"] or {}).items()}
        interests = dict.fromkeys(self.fields["interests"] or [], "interest")
        sent = {name: _text(value) for name, value in (self.fields["parameters"] or {}).items()}
        changed = set(self.fields["changed"] or [])
        names = sorted({*values, *interests, *sent, *changed}, key=lambda name: (name not in changed, name))
        known = interests | values
        return [
            DataRow(name, known.get(name), sent.get(name), is_changed=name in changed) for name in names[:MAX_DATA_ROWS]
        ]


def _fact(name: str, value: object) -> str:
    if name == "permanent":
        return "yes" if value else "no"
    return _text(value)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)

"""Settings of a feedback loop: one frozen value with a row for each setting.

A new setting is a new field here. The stored events and documents, the commands, the API, its OpenAPI document and the
command line follow these rows; only the dashboard's form gives each setting a place by hand. The field's default must
mean what loops did before the setting existed, because stored loops do not have it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Final, NamedTuple, Self

from domain.event_catalogue.triggers import EVENT_TYPES, Source, triggers_of
from domain.setting_types import Choice, ChoiceList, Count, Flag, Headers, Rate, SettingType, Text, TextList
from domain.signers import SIGNERS, SignatureScheme
from domain.validation import MAX_NAME_CHARS, Problems
from domain.values import PayloadFormat

#: Stands for a secret value in answers; in a change, it keeps the stored value.
MASK: Final = "***"


def _names(choices: Iterable[StrEnum]) -> tuple[str, ...]:
    return tuple(choice.value for choice in choices)


def _any_of(choices: Iterable[StrEnum]) -> str:
    return " or ".join(choices)


_PLANNED_SIGNERS: Final = [scheme for scheme in SignatureScheme if scheme not in SIGNERS]
_ABOUT_PROFILES: Final = frozenset(triggers_of(Source.PROFILE))
_FILTER_ITEMS: Final = TextList(max_items=100, max_chars=MAX_NAME_CHARS)


def _row(type_: SettingType, description: str, *, is_filter: bool = False, example: Any = None) -> dict[str, Any]:
    return {"type": type_, "description": description, "is_filter": is_filter, "example": example}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventFilter:
    """The settings that decide which events a loop gets."""

    triggers: tuple[str, ...] = field(
        metadata=_row(ChoiceList(tuple(EVENT_TYPES)), "Types of events to send.", example=["open", "click"])
    )
    tags: tuple[str, ...] = field(
        default=(),
        metadata=_row(
            _FILTER_ITEMS,
            "Only events of messages with at least one of these tags. Does not affect events about profiles.",
            is_filter=True,
        ),
    )
    databases: tuple[str, ...] = field(
        default=(),
        metadata=_row(
            _FILTER_ITEMS,
            "Only events of messages with a profile in one of these databases, and about profiles there.",
            is_filter=True,
        ),
    )
    collections: tuple[str, ...] = field(
        default=(),
        metadata=_row(
            _FILTER_ITEMS,
            "Only events of subprofiles in one of these collections. Does not affect events without a subprofile.",
            is_filter=True,
        ),
    )

    def wants(self, type: str, tags: Collection[str], database: str | None, collection: str | None = None) -> bool:  # noqa: A002
        """Whether an event passes every filter that is set.

        One common tag is enough. A filter by tag only applies to events of messages, because profiles have no tags. A
        filter by database excludes events without a profile. A filter by collection only applies to events of
        subprofiles, because nothing else has a collection.
        """
        if type not in self.triggers:
            return False
        wanted = self.tags_for(type)
        if wanted and not any(tag in wanted for tag in tags):
            return False
        if self.databases and database not in self.databases:
            return False
        return not (self.collections and collection is not None and collection not in self.collections)

    def tags_for(self, type: str) -> tuple[str, ...]:  # noqa: A002
        """The tags of which an event of this type needs one; empty if it needs none."""
        return () if type in _ABOUT_PROFILES else self.tags


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopSettings(EventFilter):
    """Which events a loop gets, and how it gets them."""

    format: str = field(
        default=PayloadFormat.FORM.value,
        metadata=_row(
            Choice(_names(PayloadFormat), offered=_names(PayloadFormat)),
            "Encoding of a POST's body: `form` is application/x-www-form-urlencoded.",
        ),
    )
    rate_limit: float | None = field(default=None, metadata=_row(Rate(), "Maximum number of POSTs per second."))
    max_concurrency: int = field(default=16, metadata=_row(Count(1, 1000), "Maximum number of POSTs at the same time."))
    ordered: bool = field(default=False, metadata=_row(Flag(), "Whether events are sent one at a time, in order."))
    signature: str = field(
        default=SignatureScheme.NONE.value,
        metadata=_row(
            Choice(
                _names(SignatureScheme),
                offered=_names(SIGNERS),
                not_offered=f"must be {_any_of(SIGNERS)}: this version supports no other value yet "
                f"({' and '.join(_PLANNED_SIGNERS)} are planned); "
                "every POST has the signature of Standard Webhooks anyway",
            ),
            "An additional signature. `none` does not mean unsigned: every POST has the signature of Standard Webhooks "
            f"made with the loop's secret, in `webhook-signature`. This version only supports `{_any_of(SIGNERS)}`.",
        ),
    )
    description: str = field(
        default="", metadata=_row(Text(2000), "A note for people; the service does not interpret it.")
    )
    #: As the owner sends them in commands, sealed in the ledger (`actors.adapters.sealed_headers`), masked in answers.
    headers: dict[str, str] = field(
        default_factory=dict,
        repr=False,
        hash=False,
        metadata=_row(
            Headers(max_items=10, max_chars=4096),
            "Headers to send with every POST, such as `Authorization`, at most 10. Their values are secrets.",
            example={"X-Copernica-ID": "account_123"},
        ),
    )
    # New settings go here, each with a default.

    @classmethod
    def of(cls, values: Mapping[str, object]) -> Self:
        """The settings with these values, by name; the others have their defaults. Unknown names are ignored."""
        return cls(**_known(values))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote, also in another version: unknown settings are ignored, missing ones default."""
        return cls.of(json.loads(text))

    def to_json(self) -> str:
        """The settings as one JSON object."""
        return json.dumps(asdict(self))

    def replaced(self, changes: Mapping[str, object]) -> Self:
        """A copy with new values for some settings, by name. Unknown names are ignored."""
        return replace(self, **_known(changes))

    def differences(self, other: Self) -> dict[str, Any]:
        """The values of `other` that differ, by name."""
        return {name: getattr(other, name) for name in SETTINGS if getattr(other, name) != getattr(self, name)}

    def masked(self) -> Self:
        """A copy that hides the values of the headers."""
        return replace(self, headers=dict.fromkeys(self.headers, MASK))

    def event_filter(self) -> EventFilter:
        """The part that decides which events the loop gets."""
        return EventFilter(**{row.name: getattr(self, row.name) for row in fields(EventFilter)})


def _default(row: Field[Any]) -> Any:
    if row.default is not MISSING:
        return row.default
    return None if row.default_factory is MISSING else row.default_factory()


class Setting(NamedTuple):
    """The row of one setting."""

    name: str
    type: SettingType
    #: One sentence.
    description: str
    #: Whether the API has it in the object `filters`.
    is_filter: bool
    #: A value to show in the documentation, or None.
    example: Any
    is_required: bool
    #: None if the setting is required.
    default: Any

    @property
    def is_offered(self) -> bool:
        """Whether callers can choose between values in this version."""
        return not isinstance(self.type, Choice) or len(self.type.offered) > 1

    @property
    def pointer(self) -> str:
        """JSON pointer of the setting in the API."""
        return f"/filters/{self.name}" if self.is_filter else f"/{self.name}"


#: All settings by name.
SETTINGS: Final[dict[str, Setting]] = {
    row.name: Setting(
        name=row.name,
        **row.metadata,
        is_required=row.default is MISSING and row.default_factory is MISSING,
        default=_default(row),
    )
    for row in fields(LoopSettings)
}


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by setting, in the structure and order of the API: `filters` is a nested object."""
    filters = {name: value for name, value in values.items() if SETTINGS[name].is_filter}
    plain = {name: value for name, value in values.items() if name not in filters}
    first = {name: plain[name] for name in ("triggers", "format") if name in plain}
    return first | ({"filters": filters} if filters else {}) | plain


def check_settings(values: Mapping[str, object]) -> None:
    """Checks the given values; settings may be absent.

    Raises:
        InvalidInput: with every problem, including unknown names.
    """
    problems = Problems()
    for name, value in values.items():
        if setting := SETTINGS.get(name):
            for pointer, problem in setting.type.problems(setting.pointer, value):
                problems.add(pointer, problem)
        else:
            problems.add(f"/{name}", "is not a setting that can be changed")
    problems.raise_if_any()


def _known(values: Mapping[str, object]) -> dict[str, Any]:
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items() if name in SETTINGS
    }

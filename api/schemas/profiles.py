"""API models of profiles and subprofiles."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from api.schemas.base import ABSENT, AnswerModel, OneOf, QueryModel, RequestModel, Time
from api.schemas.messages import Name
from api.schemas.service import AnsweredLine
from domain.profile import MAX_INTERESTS

_FIELDS: Final = (
    "Scalars, lists and maps, at most 64 KiB as JSON and 256 KiB as a form, with names of 1 to 200 "
    "characters other than `[`, `]` and NUL: PHP could not keep such names apart in a form."
)
_INTERESTS: Final = "Names, like those of fields. Their order does not matter."
_EXAMPLE: Final = [{"name": "John"}]


class ProfileData(RequestModel):
    """Data of a profile or subprofile; a PUT replaces all of it."""

    fields: dict[str, Any] = Field(description=_FIELDS, examples=_EXAMPLE)
    interests: list[Name] = Field(default=[], max_length=MAX_INTERESTS, description=_INTERESTS)


class ProfileChanges(RequestModel):
    """Changes of a profile or subprofile; what is left out stays."""

    fields: dict[str, Any] = Field(
        default=ABSENT,
        description="Each field replaces the stored one of that name as a whole; null removes it. "
        "The limits are those of a PUT.",
        examples=_EXAMPLE,
    )
    interests: list[Name] = Field(default=ABSENT, max_length=MAX_INTERESTS, description="Replaces all interests.")


class ImportedProfile(ProfileData):
    """A profile to import; replaces all data of a profile with this id."""

    id: Name = Field(examples=["123"])


class ImportQuery(QueryModel):
    """Options of an import."""

    events: Annotated[str, OneOf(("all", "none"))] = Field(
        default="all", description="`none`: handlers receive nothing about this import, and no event is recorded."
    )


class ImportedLine(AnsweredLine):
    """The answer to one line: a result, or a problem, or only the number if the line is blank."""

    result: Annotated[str, OneOf(("created", "updated", "unchanged"))] = Field(
        default=ABSENT, description="What became of the profile."
    )


class Profile(AnswerModel):
    """The account's data about a person."""

    database: str
    id: str
    fields: dict[str, Any]
    interests: list[str]
    created_at: Time
    modified_at: Time


class Subprofile(AnswerModel):
    """A record that belongs to a profile, in one of the database's collections."""

    database: str
    profile: str
    collection: str
    id: str
    fields: dict[str, Any]
    interests: list[str]
    created_at: Time
    modified_at: Time

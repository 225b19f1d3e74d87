"""Commands about profiles and subprofiles."""

from __future__ import annotations

import msgspec

from actors.commands.accounts import Account
from actors.commands.command import Command
from actors.commands.messages import Rejection
from actors.compatibility import WireStruct
from domain.profile_change import ProfileKey


class Profile(WireStruct, frozen=True, kw_only=True):
    """A profile, or a subprofile if it has a collection."""

    key: ProfileKey
    #: JSON text of an object of scalars, lists and maps.
    fields: msgspec.Raw
    interests: list[str]
    created_at_ms: int
    modified_at_ms: int
    #: Whether the command created it.
    created: bool = False


class PutProfile(Command[Profile], frozen=True, kw_only=True):
    """Creates a profile or replaces its data."""

    account: Account
    key: ProfileKey
    #: A JSON object.
    fields: msgspec.Raw
    interests: list[str]


class PatchProfile(Command[Profile], frozen=True, kw_only=True):
    """Replaces some fields of a profile, and its interests unless they are None. A field with null is removed."""

    account: Account
    key: ProfileKey
    #: A JSON object.
    fields: msgspec.Raw
    interests: list[str] | None = None


class GetProfile(Command[Profile], frozen=True, kw_only=True):
    account: Account
    key: ProfileKey


class DeleteProfile(Command[None], frozen=True, kw_only=True):
    """Deletes a subprofile, or a profile with all its subprofiles."""

    account: Account
    key: ProfileKey


class ProfileSpec(WireStruct, frozen=True, kw_only=True):
    """A profile to import."""

    id: str
    #: A JSON object.
    fields: msgspec.Raw
    interests: list[str]


class ImportResult(WireStruct, frozen=True, kw_only=True):
    """The result of an imported profile: `created`, `updated` or `unchanged`, or a rejection."""

    result: str | None = None
    rejection: Rejection | None = None


class ImportProfiles(Command[list[ImportResult]], frozen=True, kw_only=True):
    """Creates profiles or replaces their data, each in its own transaction. One result per profile, in order."""

    account: Account
    database: str
    profiles: list[ProfileSpec]
    #: Whether the changes become events.
    with_events: bool = True

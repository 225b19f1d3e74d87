"""Queries for profiles and subprofiles."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import msgspec

from actors.commands.profiles import Profile
from actors.ledger.store_connection import StoreConnection
from domain.profile import Profile as StoredProfile
from domain.profile import ProfileData
from domain.profile_change import ProfileKey, ProfileTimes

PROFILE: Final = (
    "SELECT fields, interests, created_at_ms, modified_at_ms FROM profiles"
    " WHERE account_no = $1 AND database = $2 AND id = $3"
)
SUBPROFILE: Final = (
    "SELECT fields, interests, created_at_ms, modified_at_ms FROM subprofiles"
    " WHERE account_no = $1 AND database = $2 AND profile = $3 AND collection = $4 AND id = $5"
)
SUBPROFILE_KEYS: Final = (
    "SELECT collection, id FROM subprofiles WHERE account_no = $1 AND database = $2 AND profile = $3"
    " ORDER BY collection, id"
)
# One statement, so that the version and the row are of the same commit.
_STORED: Final = (
    "SELECT v.version, p.fields, p.interests, p.created_at_ms, p.modified_at_ms"
    " FROM (SELECT max(originator_version) AS version FROM stored_events WHERE originator_id = $1) AS v LEFT JOIN "
)
STORED_PROFILE: Final = _STORED + "profiles AS p ON p.originator_id = $1"
STORED_SUBPROFILE: Final = _STORED + "subprofiles AS p ON p.originator_id = $1"

_strings: Final = msgspec.json.Decoder(list[str])


def current_profile(connection: StoreConnection, account_no: int, key: ProfileKey) -> Profile | None:
    """The current state of a profile or subprofile; None if there is none."""
    query = PROFILE if key.collection is None else SUBPROFILE
    found = connection.row(query, (account_no, *(part for part in key if part is not None)))
    if found is None:
        return None
    fields, interests, created_at_ms, modified_at_ms = found
    return Profile(
        key=key,
        fields=msgspec.Raw(fields.encode()),
        interests=_strings.decode(interests),
        created_at_ms=created_at_ms,
        modified_at_ms=modified_at_ms,
    )


class ProfileQueries(StoreConnection):
    """The part of `LedgerReader` that reads single profiles."""

    def profile(self, account_no: int, key: ProfileKey) -> Profile | None:
        """The current state of a profile or subprofile."""
        return current_profile(self, account_no, key)

    def stored_profile(self, account_id: UUID, account_no: int, key: ProfileKey) -> StoredProfile | None:
        """The aggregate of a profile or subprofile, also of a deleted one; None if it never existed.

        Reads its row and its last version, so the cost does not depend on the number of its events.
        """
        profile_id = StoredProfile.create_id(account_id, key)
        found = self.row(STORED_PROFILE if key.collection is None else STORED_SUBPROFILE, (profile_id.hex,))
        if found is None or found[0] is None:
            return None
        version, fields, interests, *times = found
        data = None if fields is None else ProfileData(fields, _strings.decode(interests), ProfileTimes(*times))
        return StoredProfile.restore(profile_id, version, account_no, key, data)

    def subprofile_keys(self, account_no: int, key: ProfileKey) -> list[ProfileKey]:
        """All subprofiles of a profile, in order of collection and id."""
        found = self.rows(SUBPROFILE_KEYS, (account_no, key.database, key.profile_id))
        return [key._replace(collection=collection, subprofile_id=id_) for collection, id_ in found]

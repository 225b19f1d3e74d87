"""Projection of the events of profiles and subprofiles into their tables."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from actors.ledger.dialect import Cursor
from actors.ledger.profile_people import keep_people, people_with_addresses
from domain.errors import ConcurrentWrite
from domain.profile import Profile

_CREATE_PROFILE: Final = (
    "INSERT INTO profiles"
    " (account_no, database, id, originator_id, created_at_ms, modified_at_ms, interests, fields)"
    " VALUES ($1, $2, $3, $4, $5, $5, $6, $7)"
)
_CREATE_SUBPROFILE: Final = (
    "INSERT INTO subprofiles (account_no, database, profile, collection, id,"
    " originator_id, created_at_ms, modified_at_ms, interests, fields)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $7, $8, $9)"
)
_SUPERSEDE: Final = "INSERT INTO profile_history (superseded_at_ms, originator_id, version) VALUES ($1, $2, $3)"
_HAS_PROFILE: Final = "SELECT 1 FROM profiles WHERE account_no = $1 AND database = $2 AND id = $3"
HAS_SUBPROFILES: Final = "SELECT 1 FROM subprofiles WHERE account_no = $1 AND database = $2 AND profile = $3 LIMIT 1"
# A profile that is created again continues its history.
_KEEP_HISTORY: Final = (
    "INSERT INTO profile_streams (originator_id, account_no, database, profile, is_profile)"
    " VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"
)
_encode: Final = msgspec.json.Encoder().encode


def _created(cursor: Cursor, event: Profile.Created | Profile.Recreated) -> None:
    """Inserts the row.

    Raises:
        ConcurrentWrite: the profile of the subprofile has been deleted.
    """
    key = [event.account_no, event.database, event.profile_id]
    cursor.execute(_KEEP_HISTORY, (event.originator_id.hex, *key, int(event.collection is None)))
    keep_people(cursor, event.originator_id.hex, people_with_addresses(event.fields_json))
    data = [event.originator_id.hex, event.at_ms, _encode(event.interests).decode(), event.fields_json]
    if event.collection is None:
        cursor.execute(_CREATE_PROFILE, (*key, *data))
        return
    if cursor.execute(_HAS_PROFILE, key).fetchone() is None:
        raise ConcurrentWrite("another request deleted the profile")
    cursor.execute(_CREATE_SUBPROFILE, (*key, event.collection, event.subprofile_id, *data))


def _superseded(cursor: Cursor, event: Profile.Updated | Profile.Deleted) -> None:
    """Notes that the data before this event is history now, for retention."""
    cursor.execute(_SUPERSEDE, (event.at_ms, event.originator_id.hex, event.originator_version))


def _updated(cursor: Cursor, event: Profile.Updated) -> None:
    _superseded(cursor, event)
    values = (event.at_ms, _encode(event.interests).decode(), event.fields_json, event.originator_id.hex)
    for table in ("profiles", "subprofiles"):
        cursor.execute(
            f"UPDATE {table} SET modified_at_ms = $1, interests = $2, fields = $3 WHERE originator_id = $4",  # noqa: S608
            values,
        )

    keep_people(cursor, event.originator_id.hex, people_with_addresses(event.fields_json))


def _deleted(cursor: Cursor, event: Profile.Deleted) -> None:
    """Deletes the row.

    Raises:
        ConcurrentWrite: a profile still has subprofiles, because another request has created one.
    """
    _superseded(cursor, event)
    key = (event.account_no, event.database, event.profile_id)
    if event.collection is None and cursor.execute(HAS_SUBPROFILES, key).fetchone() is not None:
        raise ConcurrentWrite("another request created a subprofile")
    table = "profiles" if event.collection is None else "subprofiles"
    cursor.execute(f"DELETE FROM {table} WHERE originator_id = $1", (event.originator_id.hex,))  # noqa: S608


PROFILE_HANDLERS: Final[dict[str, Callable[[Cursor, Any], None]]] = {
    Profile.Created.TOPIC: _created,
    Profile.Recreated.TOPIC: _created,
    Profile.Updated.TOPIC: _updated,
    Profile.Patched.TOPIC: _updated,
    Profile.Deleted.TOPIC: _deleted,
}

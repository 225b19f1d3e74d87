"""People whose addresses the histories of profiles have, kept up to date when parts of a history lose their data."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from actors.ledger.dialect import Cursor
from actors.ledger.people import person_of
from actors.ledger.store_connection import StoreConnection
from domain.profile_erasure import people_in

HISTORY_PAGE: Final = (
    "SELECT originator_version, topic, state FROM stored_events WHERE originator_id = $1 AND originator_version > $2"
    " ORDER BY originator_version LIMIT $3"
)
_KEEP_ADDRESS: Final = (
    "INSERT INTO profile_addresses (account_no, person, originator_id)"
    " SELECT account_no, $2, originator_id FROM profile_streams WHERE originator_id = $1 ON CONFLICT DO NOTHING"
)
_DROP_ADDRESSES: Final = "DELETE FROM profile_addresses WHERE originator_id = $1"
_LATER: Final = "SELECT state FROM stored_events WHERE originator_id = $1 AND originator_version > $2"
_PAGE: Final = 500


class ProfileState(msgspec.Struct):
    """The part of the stored state of a profile's event that shows its data; a deletion has none."""

    at_ms: int
    fields_json: str = "{}"


class RestingPeople(NamedTuple):
    """The people whose addresses a history has up to a version, as `profile_addresses` has to show."""

    originator_id: UUID
    people: list[str]
    until: int


decode_profile_state: Final = msgspec.json.Decoder(ProfileState).decode
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


def people_with_addresses(fields_json: str) -> set[str]:
    """The people whose addresses are in top-level fields of a profile."""
    return people_in(_decode(fields_json), person_of) if "@" in fields_json else set()


def keep_people(cursor: Cursor, originator_id: str, people: Collection[str]) -> None:
    """Keeps whose addresses the history of a profile has."""
    if people:
        cursor.executemany(_KEEP_ADDRESS, [(originator_id, person) for person in people])


def history_states(connection: StoreConnection, id_: UUID, after: int) -> Iterator[tuple[int, str, bytes]]:
    """Version, topic and state of the stored events of a profile after a version, in order."""
    while found := connection.rows(HISTORY_PAGE, (id_.hex, after, _PAGE)):
        yield from found
        after = found[-1][0]


def resting_people(connection: StoreConnection, id_: UUID, after: int) -> RestingPeople:
    """The people whose addresses the history has after a version, up to which it has lost its data."""
    people: set[str] = set()
    until = after
    for version, _, state in history_states(connection, id_, after):
        people |= people_with_addresses(decode_profile_state(state).fields_json)
        until = version
    return RestingPeople(id_, sorted(people), until)


def replace_people(cursor: Cursor, resting: RestingPeople) -> None:
    """Keeps these people of a history, and those of later versions, and no others."""
    id_ = resting.originator_id.hex
    people = set(resting.people)
    for (state,) in cursor.execute(_LATER, (id_, resting.until)).fetchall():
        people |= people_with_addresses(decode_profile_state(state).fields_json)
    cursor.execute(_DROP_ADDRESSES, (id_,))
    keep_people(cursor, id_, people)

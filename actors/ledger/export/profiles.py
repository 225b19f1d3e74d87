"""Exported profiles and subprofiles of a person, each with its former data and its events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from actors.commands.recipients import ExportedRecord, ProfileVersion
from actors.ledger.export.events import events_after
from actors.ledger.export.section import Place, Recipient, Unit
from actors.ledger.queries.profiles import current_profile
from actors.ledger.store_connection import StoreConnection
from domain.erasure import profile_event_key
from domain.profile_change import ProfileKey

# The next profile after a database and an id, in the order of both: the one that messages name, …
NAMED_BY_MESSAGES: Final = (
    "SELECT database, profile FROM messages {by messages_to_recipient} WHERE account_no = $1 AND person = $2"
    " AND profile IS NOT NULL AND (database, profile) > ($3, $4) ORDER BY database, profile LIMIT 1"
)
# … and the one that has the address or had it, itself or in a subprofile.
WITH_ADDRESS: Final = (
    "SELECT p.database, p.profile FROM profile_addresses AS a"
    " {join} profile_streams AS p ON p.originator_id = a.originator_id"
    " WHERE a.account_no = $1 AND a.person = $2 AND (p.database, p.profile) > ($3, $4)"
    " ORDER BY p.database, p.profile LIMIT 1"
)
#: Also the deleted ones; the profile itself first.
MEMBERS: Final = (
    "SELECT 1 - is_profile, originator_id FROM profile_streams {by streams_of_profile}"
    " WHERE account_no = $1 AND database = $2 AND profile = $3"
)
NEXT_VERSION: Final = (
    "SELECT originator_version, topic, state FROM stored_events WHERE originator_id = $1 AND originator_version > $2"
    " ORDER BY originator_version LIMIT 1"
)
#: After every version of a profile: its events follow.
_AFTER_VERSIONS: Final = 2**31 - 1
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode


class _Member(NamedTuple):
    """A profile or one of its subprofiles, in the order of an export."""

    database: str
    profile: str
    is_subprofile: int
    #: Its originator id, hexadecimal.
    id: str


class ProfileSection:
    """Profiles that have the person's address, or that messages to the person name, with all their subprofiles.

    A place is that of a `_Member`, a version, and the id of an event; the current data has version 0.
    """

    def units(self, connection: StoreConnection, who: Recipient, after: Place) -> Iterator[Unit]:
        last = ("", "")
        if after:
            database, profile, is_subprofile, id_, version, event_hex = after
            member = _Member(str(database), str(profile), int(is_subprofile), str(id_))
            yield from _of_member(connection, who, member, int(version), str(event_hex))
            last = member[:2]
            for other in _members(connection, who, last):
                if other > member:
                    yield from _of_member(connection, who, other, -1, "")
        while (found := _next_profile(connection, who, last)) is not None:
            last = found
            for member in _members(connection, who, last):
                yield from _of_member(connection, who, member, -1, "")


def _next_profile(connection: StoreConnection, who: Recipient, after: tuple[str, str]) -> tuple[str, str] | None:
    params = (who.account_no, who.person, *after)
    found = (connection.row(query, params) for query in (NAMED_BY_MESSAGES, WITH_ADDRESS))
    return min(((str(row[0]), str(row[1])) for row in found if row is not None), default=None)


def _members(connection: StoreConnection, who: Recipient, names: tuple[str, str]) -> list[_Member]:
    read_id = connection.dialect.event_id_bytes
    found = connection.rows(MEMBERS, (who.account_no, *names))
    return sorted(_Member(*names, is_subprofile, read_id(id_).hex()) for is_subprofile, id_ in found)


def _of_member(
    connection: StoreConnection, who: Recipient, member: _Member, version: int, event_hex: str
) -> Iterator[Unit]:
    """The units of one profile or subprofile after a version; -1 for all of them."""
    key = _key(connection, member)
    if version < 0:
        current = current_profile(connection, who.account_no, key)
        yield Unit([*member, 0, ""], [] if current is None else [ExportedRecord(profile=current)])
        version = 0
    while version < _AFTER_VERSIONS and (found := connection.row(NEXT_VERSION, (member.id, version))):
        version = int(found[0])
        yield Unit([*member, version, ""], [ExportedRecord(version=_version(key, *found[1:]))])
    after = bytes.fromhex(event_hex) or bytes(16)
    events_key = profile_event_key(UUID(member.id))
    for event_id, records in events_after(connection, who.account_no, events_key, after):
        yield Unit([*member, _AFTER_VERSIONS, event_id.hex()], records)


def _key(connection: StoreConnection, member: _Member) -> ProfileKey:
    """The name of a profile or subprofile, also of a deleted one, from its first event."""
    created = connection.row(NEXT_VERSION, (member.id, 0))
    names = {} if created is None else _decode(created[2])
    return ProfileKey(member.database, member.profile, names.get("collection"), names.get("subprofile_id"))


def _version(key: ProfileKey, topic: str, state: bytes) -> ProfileVersion:
    event = _decode(state)
    return ProfileVersion(
        key=key,
        change=topic.rpartition(".")[2],
        at_ms=event["at_ms"],
        fields=msgspec.Raw(event.get("fields_json", "{}").encode()),
        interests=event.get("interests", []),
    )

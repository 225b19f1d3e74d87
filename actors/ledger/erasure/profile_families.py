"""Families of profiles that an erased person's address or messages lead to, and the plan for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from actors.ledger.people import person_of
from actors.ledger.profile_people import decode_profile_state, history_states, people_with_addresses
from actors.ledger.store_connection import Row, StoreConnection
from domain.erasure import ALL_ACCOUNTS, RunningErasure
from domain.profile import Profile, ProfileData
from domain.profile_change import ProfileKey, ProfileTimes
from domain.profile_erasure import (
    BIRTHS,
    FamilyMember,
    History,
    HistoryEvent,
    MemberChange,
    belongs_to,
    changes,
    history_of,
)

#: Families whose former or current data has the address, and those of the person's erased messages.
NEXT_FAMILY: Final = (
    "SELECT account_no, database, profile FROM ("
    "SELECT h.account_no, h.database, h.profile FROM accounts AS c"
    " {{join}} profile_addresses AS a ON a.account_no = c.no"
    " {{join}} profile_streams AS h ON h.originator_id = a.originator_id WHERE {account} AND a.person = $2"
    " UNION SELECT m.account_no, m.database, m.profile FROM erasure_keys AS k {{join}} messages AS m"
    " ON m.key = k.message_key WHERE k.erasure_no = $3 AND k.message_key > 0 AND m.profile IS NOT NULL"
    ") AS found WHERE (account_no, database, profile) > ($4, $5, $6) ORDER BY account_no, database, profile LIMIT 1"
)
_MEMBER_COLUMNS: Final = (
    "t.originator_id, t.fields, t.interests, t.created_at_ms, t.modified_at_ms,"
    " (SELECT max(e.originator_version) FROM stored_events AS e WHERE e.originator_id = t.originator_id)"
)
PROFILE: Final = (
    f"SELECT {_MEMBER_COLUMNS} FROM profiles AS t WHERE t.account_no = $1 AND t.database = $2 AND t.id = $3"  # noqa: S608 - constants only
)
SUBPROFILES: Final = (
    f"SELECT {_MEMBER_COLUMNS}, t.collection, t.id FROM subprofiles AS t"  # noqa: S608
    " WHERE t.account_no = $1 AND t.database = $2 AND t.profile = $3 ORDER BY t.collection, t.id"
)
STREAMS: Final = (
    "SELECT originator_id, EXISTS (SELECT 1 FROM profile_addresses AS a WHERE a.account_no = $1 AND a.person = $4"
    " AND a.originator_id = h.originator_id) FROM profile_streams AS h {by streams_of_profile}"
    " WHERE account_no = $1 AND database = $2 AND profile = $3 ORDER BY originator_id"
)
OWN_MESSAGE: Final = (
    "SELECT 1 FROM erasure_keys AS k {join} messages AS m ON m.key = k.message_key WHERE k.erasure_no = $4"
    " AND m.account_no = $1 AND m.database = $2 AND m.profile = $3 AND m.created_at_ms >= $5 LIMIT 1"
)
#: Messages of people who were erased are no one's any more.
OTHERS_MESSAGE: Final = (
    "SELECT 1 FROM messages {by messages_of_profile} WHERE account_no = $1 AND database = $2 AND profile = $3"
    " AND erased_at_ms IS NULL AND person <> $4 LIMIT 1"
)

_strings: Final = msgspec.json.Decoder(list[str]).decode


class Family(NamedTuple):
    """The name of a profile, which may have been deleted."""

    account_no: int
    database: str
    profile: str


class RedactedHistory(NamedTuple):
    """The part of a history to redact: up to a version and its Unix milliseconds, as a whole or only the address."""

    originator_id: UUID
    whole_until: int
    whole_until_ms: int
    partly_until: int
    partly_until_ms: int

    @property
    def is_whole(self) -> bool:
        return self.whole_until == self.partly_until


class Plan(NamedTuple):
    """The work on a family: its current data, about whose changes events are recorded, and its histories."""

    family: Family
    profiles: dict[ProfileKey, Profile]
    changes: Sequence[MemberChange]
    histories: Sequence[RedactedHistory]
    #: Whether it relies on no message to anyone else that names the profile.
    is_persons: bool


class _Past(NamedTuple):
    """The history of a profile or subprofile, as far as a plan depends on it."""

    events: list[HistoryEvent]
    division: History
    #: Whether the address is in older data that was written since the last creation.
    has_address: bool

    def redacted(self, id_: UUID, whole_until: int, partly_until: int) -> RedactedHistory:
        whole_ms, partly_ms = (
            max((event.at_ms for event in self.events if event.version <= until), default=0)
            for until in (whole_until, partly_until)
        )
        return RedactedHistory(id_, whole_until, whole_ms, partly_until, partly_ms)


class FamilyFinder:
    """Finds the families of one erasure, on a read connection."""

    def __init__(self, connection: StoreConnection, erasure: RunningErasure) -> None:
        self._connection = connection
        self._erasure = erasure

    def next(self, after: Family) -> Plan | None:
        """The plan for the next family, in order of their names; None at the end."""
        erasure = self._erasure
        sql = NEXT_FAMILY.format(account="c.no > $1" if erasure.account_no == ALL_ACCOUNTS else "c.no = $1")
        found = self._connection.row(sql, (erasure.account_no, erasure.person, erasure.no, *after))
        return None if found is None else self._plan(Family(*found))

    def _plan(self, family: Family) -> Plan:
        person = self._erasure.person
        profiles = self._profiles(family)
        histories = {
            self._uuid(id_): bool(has_address) for id_, has_address in self._connection.rows(STREAMS, (*family, person))
        }
        recent = {each.id for each in profiles if each.modified_at_ms > self._erasure.requested_at_ms}
        top = {each.id for each in profiles if each.collection is None}
        pasts = {id_: self._past(id_) for id_, has in histories.items() if has or id_ in recent or id_ in top}
        old = [each for each in profiles if each.id not in pasts or each.version <= pasts[each.id].division.old_until]
        found: list[MemberChange] = []
        is_persons = False
        is_linked = any(each.id in pasts and pasts[each.id].has_address for each in profiles) or any(
            self._is_named(family, each, pasts[each.id]) for each in profiles if each.id in top
        )
        if is_linked:
            members = [FamilyMember(each.key, each.fields, each.interests, is_new=each not in old) for each in profiles]
            others = self._connection.row(OTHERS_MESSAGE, (*family, person)) is not None
            is_persons = belongs_to(person, members, is_named_by_others=others, person_of=person_of)
            found = changes(person, members, is_persons=is_persons, person_of=person_of)
        if is_persons or not is_linked:  # data without the address was the person's, too
            pasts |= {id_: self._past(id_) for id_ in histories.keys() - pasts.keys()}
        redacted = []
        for id_, past in pasts.items():
            dead_until, old_until = past.division
            dead_until = min(dead_until, old_until)
            if is_persons:
                redacted.append(past.redacted(id_, old_until, old_until))
            elif not is_linked:
                redacted.append(past.redacted(id_, dead_until, dead_until))
            elif histories[id_]:
                redacted.append(past.redacted(id_, dead_until, old_until))
        wanted = [history for history in redacted if history.partly_until > 0]
        return Plan(family, {each.key: each for each in profiles}, found, wanted, is_persons)

    def _profiles(self, family: Family) -> list[Profile]:
        """The profile, if it exists, and its subprofiles."""
        top = ProfileKey(family.database, family.profile)
        rows = [(row, top) for row in self._connection.rows(PROFILE, family)]
        for *row, collection, id_ in self._connection.rows(SUBPROFILES, family):
            rows.append((tuple(row), top._replace(collection=collection, subprofile_id=id_)))
        return [self._profile(family.account_no, row, key) for row, key in rows]

    def _profile(self, account_no: int, row: Row, key: ProfileKey) -> Profile:
        id_, fields, interests, created_at_ms, modified_at_ms, version = row
        data = ProfileData(fields, _strings(interests), ProfileTimes(created_at_ms, modified_at_ms))
        return Profile.restore(self._uuid(id_), version, account_no, key, data)

    def _is_named(self, family: Family, profile: Profile, past: _Past) -> bool:
        """Whether an erased message names the profile, as it is since it was last created."""
        since_ms = profile.created_at_ms if past.division.dead_until else 0
        return self._connection.row(OWN_MESSAGE, (*family, self._erasure.no, since_ms)) is not None

    def _past(self, id_: UUID) -> _Past:
        events: list[HistoryEvent] = []
        with_address: list[int] = []
        born = 0
        for version, topic, state in history_states(self._connection, id_, 0):
            data = decode_profile_state(state)
            events.append(HistoryEvent(version, topic, data.at_ms))
            if topic in BIRTHS:
                born = version
            if self._erasure.person in people_with_addresses(data.fields_json):
                with_address.append(version)
        division = history_of(events, self._erasure.requested_at_ms)
        return _Past(events, division, any(born <= version <= division.old_until for version in with_address))

    def _uuid(self, id_: Any) -> UUID:
        return UUID(bytes=self._connection.dialect.event_id_bytes(id_))

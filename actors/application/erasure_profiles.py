"""Step of an erasure: the current data of profiles. Loops hear of each change, as of any other change of a profile.

What the profiles were before, and earlier events about them, is redacted in the step `histories`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from itertools import islice
from typing import Any, Final

from eventsourcing.persistence import StoredEvent

from actors.adapters.uuid7 import UUID7s
from actors.application.event_recorder import EventRecorder, ProfileEvent, profile_event
from actors.ledger.dialect import Cursor
from actors.ledger.erasure import store as rows
from actors.ledger.erasure.profile_families import OTHERS_MESSAGE, Family, FamilyFinder, Plan
from actors.ledger.erasure.step import Advance
from actors.ledger.erasure.store import RAISE_FENCE
from actors.ledger.erasure.store_access import ErasureStore
from actors.ledger.session import Work
from actors.ledger.writer import StoreWriter
from domain.erasure import Counts, RunningErasure, StepName
from domain.errors import ConcurrentWrite
from domain.event_catalogue.triggers import Trigger
from domain.ledger import stored_events
from domain.profile import Profile
from domain.profile_erasure import MemberChange
from domain.tracking import EventToRecord, RecordedEvents

#: Profiles and subprofiles that one transaction changes. This bounds how long other writes wait.
CHANGES_AT_ONCE: Final = 50
#: Families after which the next erasure has its turn.
FAMILIES_AT_ONCE: Final = 20
#: Seconds between two transactions, so that the writer is mostly free for others.
PAUSE_S: Final = 0.005
_START: Final = Family(0, "", "")
_KEEP_HISTORY: Final = (
    "INSERT INTO erasure_histories"
    " (erasure_no, originator_id, whole_until, whole_until_ms, partly_until, partly_until_ms)"
    " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (erasure_no, originator_id) DO UPDATE SET"
    " whole_until = excluded.whole_until, whole_until_ms = excluded.whole_until_ms,"
    " partly_until = excluded.partly_until, partly_until_ms = excluded.partly_until_ms"
)


class ErasureChanges:
    """`ChangeLedger` next to the writer, whose next transactions also do the work of an erasure. For one caller."""

    def __init__(self, writer: StoreWriter) -> None:
        self._writer = writer
        self.also: Work[None] = _do_nothing

    async def append_and_record(
        self, changes: Sequence[StoredEvent], routes_version: int, events: Sequence[EventToRecord]
    ) -> RecordedEvents:
        return await self._writer.append_and_record(changes, routes_version, events, self.also)


class ProfilesAction:
    """Deletes the person's profiles, and removes the address from those of several people.

    A profile that is written meanwhile is read again. What is written afterwards is new data.
    """

    name = StepName.PROFILES

    def __init__(self, store: ErasureStore, ledger: ErasureChanges, recorder: EventRecorder) -> None:
        """`recorder` records through `ledger`."""
        self._store = store
        self._ledger = ledger
        self._recorder = recorder
        self._ids = UUID7s()

    async def advance(self, erasures: Sequence[RunningErasure]) -> Advance:
        done = [erasure for erasure in erasures if await self._advance(erasure)]
        return Advance(done, has_more=len(done) < len(erasures))

    async def _advance(self, erasure: RunningErasure) -> bool:
        """Whether the step has ended."""
        for _ in range(FAMILIES_AT_ONCE):
            after = Family(*json.loads(erasure.position)) if erasure.position else _START
            plan = await asyncio.to_thread(FamilyFinder(self._store.connection, erasure).next, after)
            if plan is None:
                return True
            try:
                erasure = await self._carry_out(erasure, plan)
            except ConcurrentWrite:  # the next look finds what another request has written
                return False
            await asyncio.sleep(PAUSE_S)
        return False

    async def _carry_out(self, erasure: RunningErasure, plan: Plan) -> RunningErasure:
        """Returns the erasure with its new position: behind the family, unless it needs another transaction."""
        changes = list(islice(plan.changes, CHANGES_AT_ONCE))
        is_last = len(changes) == len(plan.changes)
        position = json.dumps(plan.family) if is_last else erasure.position
        histories = [(erasure.no, history.originator_id.hex, *history[1:]) for history in plan.histories if is_last]

        def also(cursor: Cursor) -> None:
            if plan.is_persons and cursor.execute(OTHERS_MESSAGE, (*plan.family, erasure.person)).fetchone():
                raise ConcurrentWrite("a message to someone else names the profile")
            if histories:
                cursor.executemany(_KEEP_HISTORY, histories)
            if changes:
                cursor.execute(RAISE_FENCE)
            rows.keep_progress(cursor, erasure, position, Counts(profiles=len(changes)))

        if changes:
            self._ledger.also = also
            await self._recorder.record(*self._changed(erasure, plan, changes))
        else:
            await self._store.commits.run(also, 1 + len(histories))
        return erasure._replace(position=position)

    def _changed(
        self, erasure: RunningErasure, plan: Plan, changes: Sequence[MemberChange]
    ) -> tuple[list[StoredEvent], list[ProfileEvent]]:
        now_ms = max(self._store.clock.now_ms(), erasure.requested_at_ms + 1)
        events = [self._change(plan.profiles[change.key], change, now_ms) for change in changes]
        return stored_events(*(plan.profiles[change.key] for change in changes)), events

    def _change(self, profile: Profile, change: MemberChange, now_ms: int) -> ProfileEvent:
        if change.is_deleted:
            event = profile_event(self._ids.next(now_ms), Trigger.DELETE, now_ms, profile, {})
            profile.delete(now_ms)
            return event
        fields, interests = profile.fields, profile.interests
        profile.remove(change.fields, change.interests, now_ms)
        data: dict[str, Any] = {
            "changed": profile.change_since(fields, interests).changed,
            "fields": profile.fields,
            "interests": profile.interests,
        }
        return profile_event(self._ids.next(now_ms), Trigger.UPDATE, now_ms, profile, data)


def _do_nothing(_cursor: Cursor) -> None:
    pass

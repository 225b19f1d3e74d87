"""Profile handlers: write, read, delete and import profiles and subprofiles, and record the events about them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from actors.adapters.uuid7 import UUID7s
from actors.application.context import CommandService, Context
from actors.application.event_recorder import EventRecorder, ProfileEvent, profile_event
from actors.application.messages import account_uuid, rejection_of
from actors.commands.accounts import Account
from actors.commands.handlers import HandlerTable
from actors.commands.profiles import (
    DeleteProfile,
    GetProfile,
    ImportProfiles,
    ImportResult,
    PatchProfile,
    ProfileSpec,
    PutProfile,
)
from actors.commands.profiles import Profile as ProfileView
from actors.ledger.concurrency import retry_on_conflict
from domain.errors import ConcurrentWrite, DomainError, InternalError, NotFound
from domain.event_catalogue.triggers import Trigger
from domain.ledger import stored_events
from domain.profile import Profile
from domain.profile_change import ProfileKey, parameters_of

#: Profiles of one import that are written at the same time.
IMPORT_TASKS: Final = 64


class ProfileService(CommandService):
    """Handles commands about profiles and subprofiles.

    Each change that a handler should hear of is recorded with its event in one transaction. A call that changes nothing
    writes nothing.
    """

    handlers = HandlerTable()

    def __init__(self, context: Context, recorder: EventRecorder) -> None:
        super().__init__(context)
        self._recorder = recorder
        self._ids = UUID7s(context.random_bytes)

    @handlers.add(PutProfile)
    async def put_profile(self, command: PutProfile) -> ProfileView:
        """Creates the profile or replaces its data.

        Raises:
            InvalidInput: `fields` is not a JSON object, or a value is not valid.
            NotFound: the profile of the subprofile does not exist.
        """
        profile, result = await self._put(command, with_events=True)
        return _view(profile, created=result == Trigger.CREATE)

    @handlers.add(PatchProfile)
    async def patch_profile(self, command: PatchProfile) -> ProfileView:
        """Replaces some of the profile's data.

        Raises:
            InvalidInput: a value is not valid.
            NotFound: there is no such profile.
        """

        async def attempt() -> Profile:
            profile = await self._load(command.account, command.key)
            if profile is None or profile.is_deleted:
                raise _not_found(command.key)
            text, fields, interests = bytes(command.fields).decode(), profile.fields, profile.interests
            profile.patch(text, command.interests, self._clock.now_ms())
            removed = profile.change_since(fields, interests).removed_interests
            parameters = parameters_of(_object(text), command.interests or (), removed)
            await self._record_update(profile, fields, interests, parameters)
            return profile

        return _view(await retry_on_conflict(attempt, _conflict(command.key)))

    @handlers.add(GetProfile)
    async def get_profile(self, command: GetProfile) -> ProfileView:
        found = await asyncio.to_thread(self._reader.profile, command.account.no, command.key)
        if found is None:
            raise _not_found(command.key)
        return found

    @handlers.add(DeleteProfile)
    async def delete_profile(self, command: DeleteProfile) -> None:
        """Deletes the subprofile, or the profile after its subprofiles, all in one transaction.

        Raises:
            NotFound: there is no such profile.
        """
        overtaken = False

        async def attempt() -> None:
            nonlocal overtaken
            profiles = await asyncio.to_thread(self._with_subprofiles, command.account, command.key)
            if not profiles:
                if overtaken:  # by another request, or by this one, whose answer from the ledger was lost
                    return
                raise _not_found(command.key)
            events = []
            now_ms = self._clock.now_ms()
            for profile in profiles:
                data = {"fields": profile.fields, "interests": profile.interests}
                events.append(self._event(profile, Trigger.DELETE, now_ms, data))
                profile.delete(now_ms)
            overtaken = True
            await self._recorder.record(stored_events(*profiles), events)

        await retry_on_conflict(attempt, _conflict(command.key))

    @handlers.add(ImportProfiles)
    async def import_profiles(self, command: ImportProfiles) -> list[ImportResult]:
        """Writes each profile in its own transaction; profiles with the same id in their order.

        Raises:
            StoreUnavailable: some may have been written; the same import again changes nothing about these.
        """
        results: list[ImportResult] = [ImportResult()] * len(command.profiles)
        by_id: dict[str, list[int]] = {}
        for number, spec in enumerate(command.profiles):
            by_id.setdefault(spec.id, []).append(number)
        free = asyncio.Semaphore(IMPORT_TASKS)

        async def write(numbers: Sequence[int]) -> None:
            async with free:
                for number in numbers:
                    results[number] = await self._import(command, command.profiles[number])

        await asyncio.gather(*map(write, by_id.values()))
        return results

    async def _import(self, command: ImportProfiles, spec: ProfileSpec) -> ImportResult:
        put = PutProfile(
            account=command.account,
            key=ProfileKey(command.database, spec.id),
            fields=spec.fields,
            interests=spec.interests,
        )
        try:
            _, result = await self._put(put, with_events=command.with_events)
        except (DomainError, ConcurrentWrite, InternalError) as exc:
            return ImportResult(rejection=rejection_of(exc))
        return ImportResult(result=_RESULTS[result])

    async def _put(self, command: PutProfile, *, with_events: bool) -> tuple[Profile, Trigger | None]:
        """The profile, and the type of the change; None if nothing changed."""

        async def attempt() -> tuple[Profile, Trigger | None]:
            text, now_ms = bytes(command.fields).decode(), self._clock.now_ms()
            profile = await self._load(command.account, command.key)
            parameters = parameters_of(_object(text), command.interests)
            if profile is not None and not profile.is_deleted:
                fields, interests = profile.fields, profile.interests
                profile.put(text, command.interests, now_ms)
                is_changed = await self._record_update(profile, fields, interests, parameters, with_events=with_events)
                return profile, Trigger.UPDATE if is_changed else None
            if profile is None:
                account, key = command.account, command.key
                profile = Profile.create(account_uuid(account), account.no, key, text, command.interests, now_ms)
            else:
                profile.put(text, command.interests, now_ms)
            await self._check_parent(command.account, command.key)
            data = {"parameters": parameters, **_data(profile, profile.change_since({}, ()).changed)}
            events = [self._event(profile, Trigger.CREATE, now_ms, data)] if with_events else []
            await self._recorder.record(stored_events(profile), events)
            return profile, Trigger.CREATE

        return await retry_on_conflict(attempt, _conflict(command.key))

    async def _check_parent(self, account: Account, key: ProfileKey) -> None:
        """The ledger checks it again with the write, because the profile may be deleted in between."""
        if key.collection is None:
            return
        if await asyncio.to_thread(self._reader.profile, account.no, key.parent) is None:
            raise _not_found(key.parent)

    async def _record_update(
        self,
        profile: Profile,
        fields: Mapping[str, Any],
        interests: Sequence[str],
        parameters: dict[str, Any],
        *,
        with_events: bool = True,
    ) -> bool:
        """Records a changed profile, which had these fields and interests. Returns whether it changed."""
        changes = stored_events(profile)
        if changes:
            data = {"parameters": parameters, **_data(profile, profile.change_since(fields, interests).changed)}
            event = self._event(profile, Trigger.UPDATE, profile.modified_at_ms, data)
            await self._recorder.record(changes, [event] if with_events else [])
        return bool(changes)

    def _event(self, profile: Profile, trigger: Trigger, now_ms: int, data: Mapping[str, Any]) -> ProfileEvent:
        return profile_event(self._ids.next(now_ms), trigger, now_ms, profile, data)

    async def _load(self, account: Account, key: ProfileKey) -> Profile | None:
        return await asyncio.to_thread(self._reader.stored_profile, account_uuid(account), account.no, key)

    def _with_subprofiles(self, account: Account, key: ProfileKey) -> list[Profile]:
        """The profile after its subprofiles; empty if it does not exist."""
        subprofiles = self._reader.subprofile_keys(account.no, key) if key.collection is None else []
        found = [self._reader.stored_profile(account_uuid(account), account.no, each) for each in [*subprofiles, key]]
        if found[-1] is None or found[-1].is_deleted:
            return []
        return [profile for profile in found if profile is not None and not profile.is_deleted]


_RESULTS: Final = {Trigger.CREATE: "created", Trigger.UPDATE: "updated", None: "unchanged"}


def _object(text: str) -> dict[str, Any]:
    """The JSON object; empty if it is none, which the profile refuses."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _data(profile: Profile, changed: list[str]) -> dict[str, Any]:
    return {"changed": changed, "fields": profile.fields, "interests": profile.interests}


def _view(profile: Profile, *, created: bool = False) -> ProfileView:
    return ProfileView(
        key=profile.key,
        fields=msgspec.Raw(profile.fields_json.encode()),
        interests=profile.interests,
        created_at_ms=profile.created_at_ms,
        modified_at_ms=profile.modified_at_ms,
        created=created,
    )


def _not_found(key: ProfileKey) -> NotFound:
    return NotFound(f"there is no {key} of this account")


def _conflict(key: ProfileKey) -> str:
    return f"{key} is being changed by several requests; try again"

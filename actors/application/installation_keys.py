"""Commands about the installation's keys: their state, rotation and end."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import Final

from actors.application.key_sync import KeySync
from actors.application.loops import LoopClient
from actors.commands import installation_keys as commands
from actors.commands.handlers import HandlerTable
from actors.commands.installation_keys import (
    DropInstallationKey,
    ForgetFrontEnd,
    KeyStatus,
    KeyUse,
    ReadKeyGeneration,
    ReadKeyStatus,
    ReadKeyUse,
    RotateInstallationKey,
    RotateMasterKey,
)
from actors.commands.loop_keys import FollowKey
from actors.installation.keys import InstallationKeys
from actors.installation.wrapping import KEY_BYTES, master_fingerprint, wrap
from actors.ledger.reader import LedgerReader
from actors.ports import Clock
from domain.errors import FeedbackLoopsError, NotFound
from domain.key_ring import FrontEndKeys, KeyRing, WrappedKey

log = logging.getLogger(__name__)

#: Seconds between two searches for loops whose secret derives from an old key.
FOLLOW_S: Final = 5.0


class InstallationKeyService:
    """Handles commands about the installation's keys."""

    handlers = HandlerTable()

    def __init__(
        self, sync: KeySync, keys: InstallationKeys, reader: LedgerReader, loops: LoopClient, clock: Clock
    ) -> None:
        self._sync = sync
        self._keys = keys
        self._reader = reader
        self._loops = loops
        self._clock = clock

    @handlers.add(ReadKeyGeneration)
    async def read_generation(self, _command: ReadKeyGeneration) -> int:
        return self._sync.ring.generation

    @handlers.add(ReadKeyStatus)
    async def read_status(self, _command: ReadKeyStatus) -> KeyStatus:
        return await self._status(await self._sync.refresh())

    @handlers.add(RotateInstallationKey)
    async def rotate(self, _command: RotateInstallationKey) -> KeyStatus:
        """Adds a random key, wrapped for the current master key.

        Raises:
            Conflict: another rotation is in progress, or there are too many keys.
        """
        key = os.urandom(KEY_BYTES)

        def add(ring: KeyRing) -> KeyRing:
            wrapped = {
                master_fingerprint(master): wrap(key, ring.installation, ring.next_id, master, os.urandom)
                for master in self._masters_of(ring)
            }
            return ring.with_key(wrapped, self._clock.now_ms())

        return await self._status(await self._sync.change(add))

    @handlers.add(RotateMasterKey)
    async def rotate_master(self, _command: RotateMasterKey) -> KeyStatus:
        """Wraps every key for the next master key, too. Creates that key on a service of one machine.

        Raises:
            Conflict: there is no next master key, or another rotation is in progress.
        """
        self._sync.must_be_replaceable(len(await self._sync.front_ends()))
        master = await asyncio.to_thread(self._keys.source.create_next, os.urandom)

        def add(ring: KeyRing) -> KeyRing:
            keys = self._keys().keys
            wrapped = {key.id: wrap(keys[key.id], ring.installation, key.id, master, os.urandom) for key in ring.keys}
            return ring.with_master(master_fingerprint(master), wrapped)

        return await self._status(await self._sync.change(add))

    @handlers.add(ReadKeyUse)
    async def read_use(self, command: ReadKeyUse) -> KeyUse:
        """Counts what ends with a key. Raises NotFound."""
        ring = await self._sync.refresh()
        key = ring.key(command.key_id)
        return await asyncio.to_thread(self._use_of, key)

    @handlers.add(DropInstallationKey)
    async def drop(self, command: DropInstallationKey) -> KeyStatus:
        """Ends a key.

        Raises:
            Conflict: it signs.
            NotFound: there is no such key.
        """
        return await self._status(await self._sync.change(lambda ring: ring.without(command.key_id)))

    @handlers.add(ForgetFrontEnd)
    async def forget(self, command: ForgetFrontEnd) -> None:
        """Stops waiting for a front end. Raises NotFound."""
        if not await self._sync.forget(command.front_end):
            raise NotFound(f"there is no front end {command.front_end}")

    async def follow_keys(self) -> None:
        """Makes every loop derive its secret from the key that signs, until it is cancelled."""
        followed: tuple[int, int] | None = None
        while True:
            try:
                ring = self._sync.ring
                state = ring.signing, len(ring.keys)
                if state != followed or len(ring.keys) > 1:
                    behind = await asyncio.to_thread(self._reader.loops_of_other_keys, ring.signing)
                    for loop_id in behind:
                        await self._loops.call(loop_id, FollowKey(key_id=ring.signing))
                    if behind:
                        facts = {"action": "secrets_rotated", "loops": len(behind), "key_id": ring.signing}
                        log.info("the secrets of loops derive from another installation key", extra=facts)
                    followed = state
            except FeedbackLoopsError as exc:
                facts = {"action": "secrets_waiting", "problem": str(exc)}
                log.info("secrets of loops could not be rotated now", extra=facts)
            await asyncio.sleep(FOLLOW_S)

    def _masters_of(self, ring: KeyRing) -> list[bytes]:
        names = {name for key in ring.keys for name in key.wrapped}
        return [master for master in self._keys.source.all() if master_fingerprint(master) in names]

    def _use_of(self, key: WrappedKey) -> KeyUse:
        if key.signs_from_ms is None:
            return KeyUse(messages=0, passwords=0, secrets=0, headers=0)
        until_ms = self._clock.now_ms() if key.signs_until_ms is None else key.signs_until_ms
        messages = self._reader.count_messages(key.signs_from_ms, until_ms)
        secrets, headers = self._reader.count_loops_of_key(key.id)
        passwords = self._reader.count_passwords_of_key(key.id)
        return KeyUse(messages=messages, passwords=passwords, secrets=secrets, headers=headers)

    async def _status(self, ring: KeyRing) -> KeyStatus:
        behind = await asyncio.to_thread(self._reader.loops_of_other_keys, ring.signing)
        front_ends = await self._sync.front_ends()
        (first, *_) = ring.keys[0].wrapped
        return KeyStatus(
            installation=ring.fingerprint,
            created_ms=ring.created_ms,
            generation=ring.generation,
            keys=[_key(ring, key) for key in ring.keys],
            master_key=first,
            next_master_key=ring.next_master,
            front_ends=[_holder(ring, each) for each in front_ends],
            loops_to_follow=len(behind),
        )


def _key(ring: KeyRing, key: WrappedKey) -> commands.InstallationKey:
    state = "signs" if key.id == ring.signing else "waits" if key is ring.waiting else "reads"
    return commands.InstallationKey(
        id=key.id,
        state=state,
        created_ms=key.created_ms,
        signs_from_ms=key.signs_from_ms,
        signs_until_ms=key.signs_until_ms,
    )


def _holder(ring: KeyRing, keys: FrontEndKeys) -> commands.KeyHolder:
    waits_for_key = ring.waiting is not None and keys.generation < ring.waiting.since
    waits_for_master = ring.next_master is not None and keys.master != ring.next_master
    return commands.KeyHolder(
        id=keys.front_end,
        name=keys.name,
        generation=keys.generation,
        master_key=keys.master,
        confirmed_ms=keys.at_ms,
        is_awaited=waits_for_key or waits_for_master,
    )

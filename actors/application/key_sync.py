"""Synchronisation of the installation's keys between the store, the data directory and this process.

The store has the authoritative ring, the data directory a copy; the higher generation is right. Each step of a rotation
is one change of the ring in the store, made only if no other process has changed it meanwhile. So any gateway can take
the next step, and none is lost when a process dies.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import threading
from collections.abc import Callable
from typing import Final

from actors.installation.key_file import KeyFile
from actors.installation.keys import InstallationKeys
from actors.installation.wrapping import RandomBytes, master_fingerprint, new_ring, unwrapped
from actors.ledger.key_ring_store import KeyRingStore
from actors.ports import Clock
from domain.errors import ConcurrentWrite, Conflict, FeedbackLoopsError, StoreUnavailable, WrongInstallation
from domain.key_ring import INSTALLATION_ID_BYTES, FrontEndKeys, KeyRing

log = logging.getLogger(__name__)

#: Seconds between two looks at the store.
PERIOD_S: Final = 2.0
#: A front end confirms at least this often that it runs, so that operators recognise those that are gone.
SEEN_MS: Final = 3_600_000
_TRIES: Final = 5


class KeySync:
    """Keeps the keys of a front end's machine up to date, and confirms them. Runs in the machine's gateway."""

    def __init__(
        self,
        keys: InstallationKeys,
        file: KeyFile,
        store: KeyRingStore,
        clock: Clock,
        random_bytes: RandomBytes = os.urandom,
        *,
        may_create: bool = True,
    ) -> None:
        """`may_create`: whether a store without an installation gets a new one."""
        self._keys = keys
        self._file = file
        self._store = store
        self._clock = clock
        self._random_bytes = random_bytes
        self._may_create = may_create
        self._lock = threading.Lock()
        self._confirmed: tuple[int, str] | None = None
        self._confirmed_ms = 0
        self._problem: FeedbackLoopsError | None = StoreUnavailable("the store's keys have not been read yet")

    @property
    def ring(self) -> KeyRing:
        """The ring as last compared with the store.

        Raises:
            WrongInstallation: the store belongs to another installation.
            StoreUnavailable: it could not be compared since the start.
        """
        if self._problem is not None:
            raise self._problem
        return self._keys.known_ring

    @property
    def problem(self) -> WrongInstallation | None:
        """The problem that only people can repair."""
        return self._problem if isinstance(self._problem, WrongInstallation) else None

    async def refresh(self) -> KeyRing:
        """Compares the copies, takes over the right one, and takes the next step of a rotation that waits.

        Raises:
            WrongInstallation: the store belongs to another installation. Nothing was written there.
            StoreUnavailable: the store or the data directory cannot be used, or the master key is not the right one.
        """
        try:
            ring = await asyncio.to_thread(self._refresh)
        except WrongInstallation as exc:
            self._problem = exc
            raise
        except FeedbackLoopsError as exc:
            if self._problem is not None:
                self._problem = exc
            raise
        self._problem = None
        return ring

    async def keep(self) -> None:
        """Refreshes until it is cancelled."""
        problem = ""
        while True:
            await asyncio.sleep(PERIOD_S)
            try:
                await self.refresh()
                problem = ""
            except FeedbackLoopsError as exc:
                if str(exc) != problem:
                    problem = str(exc)
                    facts = {"action": "keys", "problem": problem}
                    log.warning("the installation's keys were not compared", extra=facts)

    async def change(self, act: Callable[[KeyRing], KeyRing]) -> KeyRing:
        """Changes the ring in the store with `act`, which may be called again; returns when this machine has it.

        Raises:
            Conflict: of `act`; nothing was changed.
            ConcurrentWrite: others keep changing the ring.
            StoreUnavailable: the store cannot be used.
        """
        for _ in range(_TRIES):
            ring = await self.refresh()
            changed = act(ring)
            if changed is ring or await asyncio.to_thread(self._store.replace, changed, ring.generation):
                return await self.refresh()
        raise ConcurrentWrite("others keep changing the installation's keys; try again")

    async def front_ends(self) -> list[FrontEndKeys]:
        """The generation and the master key that every known front end has on its disk. Raises `StoreUnavailable`."""
        return await asyncio.to_thread(self._store.front_ends)

    async def forget(self, front_end: str) -> bool:
        """Stops waiting for a front end. False: it is not known. Raises `StoreUnavailable`."""
        found = await asyncio.to_thread(self._store.forget, front_end)
        await self.refresh()
        return found

    def must_be_replaceable(self, front_ends: int) -> None:
        """Checks that this machine may create the next master key itself, if it does not exist.

        Raises:
            Conflict: it exists on none of several machines, or it is not ours to create.
        """
        source = self._keys.source
        if source.next() is None and (front_ends > 1 or not source.is_ours):
            raise Conflict(
                f"there is no next master key: put 32 random bytes in hexadecimal into {source.next_file} on every "
                "machine (`openssl rand -hex 32`), mode 0600, and repeat the command"
            )

    def _refresh(self) -> KeyRing:
        with self._lock:
            while True:
                ring, is_done = self._step()
                if is_done:
                    return ring

    def _step(self) -> tuple[KeyRing, bool]:
        """The ring, and whether it has not changed meanwhile."""
        front_end, local = self._file.read()
        ring = self._agreed(front_end, local)
        # Checked before anything is written: with the wrong master key this machine keeps what it has. One whose master
        # key was lost while it runs can still have its keys wrapped for another.
        if self._keys.ring != ring:
            unwrapped(ring, self._keys.source.all())
        if local != ring:
            self._file.write(front_end, ring)
        if self._keys.ring != ring:
            self._keys.use(ring)
        if ring.next_master is not None:
            self._keys.source.promote(ring.next_master)
        self._confirm(front_end, ring)
        advanced = ring.advanced(self._store.front_ends(), self._clock.now_ms()) if _is_rotating(ring) else ring
        if advanced is not ring and self._store.replace(advanced, ring.generation):
            self._log_step(ring, advanced)
        return ring, advanced is ring

    def _agreed(self, front_end: str, local: KeyRing | None) -> KeyRing:
        """The right ring of the data directory's and the store's, which has it from then on."""
        ring, is_listed = self._store.look(front_end)
        if not is_listed:  # it was forgotten by mistake, or an older store was restored
            self._confirmed = None
        if ring is None:
            if local is None and not self._may_create:
                raise StoreUnavailable(
                    "the store belongs to no installation, and with --no-init none is made: name the right store, or "
                    "run `feedback-loops init`"
                )
            ring = self._store.create(local or self._new_ring())
        if local is None:
            return ring
        if local.installation != ring.installation:
            raise WrongInstallation(
                f"the store belongs to installation {ring.fingerprint}, the data directory to {local.fingerprint}: "
                "mount the right data directory, or name the right store"
            )
        if local.generation > ring.generation:
            self._store.replace(local, ring.generation)
            return local
        return ring

    def _new_ring(self) -> KeyRing:
        master_key = self._keys.source.create(self._random_bytes)
        installation = self._random_bytes(INSTALLATION_ID_BYTES).hex()
        ring = new_ring(installation, master_key, self._random_bytes, self._clock.now_ms())
        log.warning("a new installation", extra={"action": "installation_created", "fingerprint": ring.fingerprint})
        return ring

    def _confirm(self, front_end: str, ring: KeyRing) -> None:
        current = self._keys.source.current()
        confirmed = ring.generation, master_fingerprint(current) if current else ""
        now_ms = self._clock.now_ms()
        if confirmed != self._confirmed or now_ms - self._confirmed_ms >= SEEN_MS:
            keys = FrontEndKeys(
                front_end=front_end,
                name=socket.gethostname(),
                generation=confirmed[0],
                master=confirmed[1],
                at_ms=now_ms,
            )
            self._store.confirm(keys)
            self._confirmed, self._confirmed_ms = confirmed, now_ms

    def _log_step(self, before: KeyRing, after: KeyRing) -> None:
        facts = {"action": "keys_advanced", "generation": after.generation, "key_id": after.signing}
        if before.signing != after.signing:
            log.warning("a new installation key signs", extra=facts)
        else:
            log.warning("the former master key has ended", extra=facts)


def _is_rotating(ring: KeyRing) -> bool:
    return ring.waiting is not None or ring.next_master is not None


async def first_refresh(sync: KeySync, report: Callable[[FeedbackLoopsError], None], retry_s: float) -> KeyRing:
    """The first ring, however long the store is away; `report` receives what is wrong meanwhile."""
    while True:
        try:
            return await sync.refresh()
        except FeedbackLoopsError as exc:
            report(exc)
            await asyncio.sleep(retry_s)

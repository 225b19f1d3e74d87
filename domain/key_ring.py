"""Key ring of an installation: its identity, and its keys wrapped by the master key.

Every change makes a new generation. Of two copies, the one with the higher generation is right.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, Self

from domain.errors import Conflict, NotFound
from domain.key_set import FIRST_KEY_ID, MAX_KEY_ID

#: Bytes of the random installation id.
INSTALLATION_ID_BYTES: Final = 16
#: Keys that one ring holds. Each hit looks up one; readers of mail keep them all in memory.
MAX_KEYS: Final = 16


def fingerprint(installation_id: str) -> str:
    """The installation's fingerprint, 16 hexadecimal digits: public, and the same whatever its keys are.

    `installation_id` is hexadecimal.
    """
    return sha256(b"feedback-loops installation " + bytes.fromhex(installation_id)).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEndKeys:
    """The keys that a front end's machine has on its disk, as it confirmed."""

    front_end: str
    #: For people: its host's name.
    name: str
    generation: int
    #: Fingerprint of the master key that it uses.
    master: str
    #: Unix time of the confirmation, milliseconds.
    at_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WrappedKey:
    """One installation key, wrapped for one master key, or for two while the master key is replaced."""

    id: int
    #: Generation of the ring that added it.
    since: int
    created_ms: int
    #: Wrapped keys (base64) by the fingerprint of the master key.
    wrapped: Mapping[str, str]
    #: When it began and stopped to sign, Unix time in milliseconds; None: not yet.
    signs_from_ms: int | None = None
    signs_until_ms: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRing:
    """All installation keys that still read, and which of them signs."""

    #: The installation's random id, hexadecimal. No rotation changes it.
    installation: str
    created_ms: int
    generation: int
    #: Id of the key that signs.
    signing: int
    keys: tuple[WrappedKey, ...]
    #: Fingerprint of the master key that all front ends are to use; None while the master key is not being replaced.
    next_master: str | None = None

    @classmethod
    def first(cls, installation: str, wrapped: Mapping[str, str], now_ms: int) -> Self:
        """The ring of a new installation."""
        key = WrappedKey(id=FIRST_KEY_ID, since=1, created_ms=now_ms, wrapped=wrapped, signs_from_ms=now_ms)
        return cls(installation=installation, created_ms=now_ms, generation=1, signing=FIRST_KEY_ID, keys=(key,))

    @property
    def fingerprint(self) -> str:
        """The installation's."""
        return fingerprint(self.installation)

    @property
    def waiting(self) -> WrappedKey | None:
        """The key that signs as soon as every front end has it."""
        newest = self.keys[-1]
        return None if newest.id == self.signing else newest

    @property
    def next_id(self) -> int:
        """The id of the next key. Ids are never used again."""
        return max(key.id for key in self.keys) + 1

    def key(self, key_id: int) -> WrappedKey:
        """The key with an id.

        Raises:
            NotFound: it was dropped, or never existed.
        """
        for key in self.keys:
            if key.id == key_id:
                return key
        raise NotFound(f"there is no installation key {key_id}")

    def with_key(self, wrapped: Mapping[str, str], now_ms: int) -> Self:
        """The ring with a new key (`next_id`), which waits for the front ends.

        Raises:
            Conflict: another rotation is in progress, or there are too many keys.
        """
        if self.waiting is not None:
            raise Conflict(f"installation key {self.waiting.id} still waits for front ends; see `keys status`")
        self._must_have_one_master()
        if len(self.keys) >= MAX_KEYS or self.next_id > MAX_KEY_ID:
            raise Conflict("there are too many installation keys: drop old ones first (`keys drop-old`)")
        key = WrappedKey(id=self.next_id, since=self.generation + 1, created_ms=now_ms, wrapped=wrapped)
        return replace(self, generation=self.generation + 1, keys=(*self.keys, key))

    def with_master(self, master: str, wrapped: Mapping[int, str]) -> Self:
        """The ring with every key also wrapped for the next master key. The same call again changes nothing.

        Raises:
            Conflict: the ring waits for yet another master key, or a key waits for front ends.
        """
        if self.next_master == master or all(set(key.wrapped) == {master} for key in self.keys):
            return self
        self._must_have_one_master()
        if self.waiting is not None:
            raise Conflict(f"installation key {self.waiting.id} still waits for front ends; see `keys status`")
        keys = tuple(replace(key, wrapped={**key.wrapped, master: wrapped[key.id]}) for key in self.keys)
        return replace(self, generation=self.generation + 1, keys=keys, next_master=master)

    def without(self, key_id: int) -> Self:
        """The ring without an old key, or without one that waits.

        Raises:
            Conflict: the key signs.
            NotFound: there is no such key.
        """
        self.key(key_id)
        if key_id == self.signing:
            raise Conflict(f"installation key {key_id} signs: rotate it first (`keys rotate-installation`)")
        keys = tuple(key for key in self.keys if key.id != key_id)
        return replace(self, generation=self.generation + 1, keys=keys)

    def replaced(self, wrapped: Mapping[str, str], now_ms: int) -> Self:
        """The ring with one new key only, for an installation whose master key is lost. All other keys are gone."""
        key_id = self.next_id
        generation = self.generation + 1
        key = WrappedKey(id=key_id, since=generation, created_ms=now_ms, wrapped=wrapped, signs_from_ms=now_ms)
        return replace(self, generation=generation, signing=key_id, keys=(key,), next_master=None)

    def advanced(self, front_ends: Collection[FrontEndKeys], now_ms: int) -> Self:
        """The next step of a rotation, or the ring itself if a front end has not confirmed yet.

        A new key signs once every known front end has it on its disk. Keys wrapped for the former master key are
        dropped once every known front end uses the next one.
        """
        waiting = self.waiting
        if waiting is not None and all(each.generation >= waiting.since for each in front_ends):
            return self._signing_with(waiting.id, now_ms)
        master = self.next_master
        if master is not None and all(each.master == master for each in front_ends):
            keys = tuple(replace(key, wrapped={master: key.wrapped[master]}) for key in self.keys)
            return replace(self, generation=self.generation + 1, keys=keys, next_master=None)
        return self

    def _signing_with(self, key_id: int, now_ms: int) -> Self:
        keys = []
        for key in self.keys:
            if key.id == key_id:
                keys.append(replace(key, signs_from_ms=now_ms))
            elif key.id == self.signing:
                keys.append(replace(key, signs_until_ms=now_ms))
            else:
                keys.append(key)
        return replace(self, generation=self.generation + 1, signing=key_id, keys=tuple(keys))

    def _must_have_one_master(self) -> None:
        if self.next_master is not None:
            raise Conflict("the master key is being replaced: wait until every front end uses the next one")

"""Installation keys of a process, unwrapped, and replaced when the key ring changes."""

from __future__ import annotations

from collections.abc import Callable

from actors.installation.master_key import MasterKeySource
from actors.installation.wrapping import unwrapped
from domain.errors import StoreUnavailable
from domain.key_ring import KeyRing
from domain.key_set import NO_KEYS, KeySet


class InstallationKeys:
    """The current keys. Empty until a ring is known."""

    def __init__(self, source: MasterKeySource) -> None:
        self.source = source
        self.ring: KeyRing | None = None
        self._current = NO_KEYS
        self._followers: list[Callable[[KeySet], None]] = []

    def __call__(self) -> KeySet:
        """The current keys."""
        return self._current

    @property
    def generation(self) -> int:
        """Generation of the ring; 0 while none is known."""
        return 0 if self.ring is None else self.ring.generation

    @property
    def known_ring(self) -> KeyRing:
        """The ring.

        Raises:
            StoreUnavailable: none is known yet.
        """
        if self.ring is None:
            raise StoreUnavailable("the installation's keys are not known yet: the store has not been read")
        return self.ring

    def use(self, ring: KeyRing) -> None:
        """Takes over the keys of a ring.

        Raises:
            StoreUnavailable: they cannot be unwrapped; the keys stay as they were.
        """
        self._current = unwrapped(ring, self.source.all())
        self.ring = ring
        for follow in self._followers:
            follow(self._current)

    def follow(self, use: Callable[[KeySet], None]) -> None:
        """Calls `use` with each later set of keys."""
        self._followers.append(use)

"""Key sets: the keys of an installation or of one purpose, by the id that tokens and stored values carry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple, Self

from domain.key_derivation import derive

#: The id fills at most one byte of a token.
MAX_KEY_ID: Final = 255
FIRST_KEY_ID: Final = 1


class KeySet(NamedTuple):
    """Keys by id. All of them read; one of them signs. A set without keys (`signing` 0) reads nothing."""

    #: Id of the key that signs.
    signing: int
    keys: Mapping[int, bytes]

    @classmethod
    def single(cls, key: bytes, key_id: int = FIRST_KEY_ID) -> Self:
        """A set of one key."""
        return cls(key_id, {key_id: key})

    @property
    def signing_key(self) -> bytes:
        """The key that signs. Raises KeyError if there is none."""
        return self.keys[self.signing]

    def derived(self, purpose: str, length: int = 32) -> Self:
        """The keys for a purpose (`domain.key_derivation.derive`), with the same ids. `length` is in bytes."""
        return self._replace(keys={key_id: derive(key, purpose, length) for key_id, key in self.keys.items()})


NO_KEYS: Final = KeySet(0, {})

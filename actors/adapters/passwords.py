"""Password hashing: Argon2id (RFC 9106) over a keyed hash.

The key is derived from an installation key, which is in the ledger only in wrapped form: a stolen ledger is not enough
to guess passwords. A stored hash begins with the id of that key.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from domain.errors import Overloaded
from domain.key_set import KeySet

T = TypeVar("T")

#: Length of the queue. Passwords are hashed one at a time; each takes about 50 ms and 64 MiB.
MAX_WAITING: Final = 20
_PURPOSE: Final = "passwords"


class Argon2Passwords:
    """`actors.application.users.Passwords`. Hashes in one thread, off the event loop."""

    def __init__(self, keys: Callable[[], KeySet]) -> None:
        """`keys` returns the current installation keys."""
        self._keys = keys
        self._hasher = PasswordHasher()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._waiting = 0
        #: A dummy hash, checked for unknown users so that the response time does not reveal them.
        self._nobody = self._hasher.hash(b"")

    async def hash(self, password: str) -> str:
        """The hash to store for the password."""
        keys = self._keys().derived(_PURPOSE)
        hashed = await self._in_turn(lambda: self._hasher.hash(_keyed(keys.signing_key, password)))
        return f"{keys.signing}:{hashed}"

    async def is_right(self, stored: str | None, password: str) -> bool:
        """Whether `stored` is the hash of this password. None takes the same time and never matches."""
        key_id, _, hashed = (stored or "").partition(":")
        key = self._keys().derived(_PURPOSE).keys.get(int(key_id)) if key_id.isdecimal() else None
        if key is None:  # there is no such user, or the key was dropped
            await self._in_turn(lambda: self._verify(self._nobody, b"no password"))
            return False
        return await self._in_turn(lambda: self._verify(hashed, _keyed(key, password)))

    def is_current(self, stored: str) -> bool:
        """Whether the hash was made with the key that signs now."""
        return stored.partition(":")[0] == str(self._keys().signing)

    def _verify(self, hashed: str, keyed: bytes) -> bool:
        try:
            return self._hasher.verify(hashed, keyed)
        except (VerificationError, InvalidHashError):
            return False

    async def _in_turn(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise Overloaded("too many people are signing in at once; try again in a moment", 2.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1


def _keyed(key: bytes, password: str) -> bytes:
    return hmac.digest(key, password.encode("utf-8", "surrogatepass"), hashlib.sha256)

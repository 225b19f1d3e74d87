"""Password hashing: Argon2id (RFC 9106) over a keyed hash.

The key is derived from the master key, which is not in the ledger: a stolen ledger is not enough to guess passwords.
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

T = TypeVar("T")

#: Length of the queue. Passwords are hashed one at a time; each takes about 50 ms and 64 MiB.
MAX_WAITING: Final = 20


class Argon2Passwords:
    """`actors.application.users.Passwords`. Hashes in one thread, off the event loop."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._hasher = PasswordHasher()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._waiting = 0
        #: A dummy hash, checked for unknown users so that the response time does not reveal them.
        self._nobody = self._hasher.hash(self._keyed(""))

    async def hash(self, password: str) -> str:
        """The hash to store for the password."""
        return await self._in_turn(lambda: self._hasher.hash(self._keyed(password)))

    async def is_right(self, stored: str | None, password: str) -> bool:
        """Whether `stored` is the hash of this password. None takes the same time and never matches."""
        found = await self._in_turn(lambda: self._verify(stored or self._nobody, password))
        return found and stored is not None

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, self._keyed(password))
        except (VerificationError, InvalidHashError):
            return False

    def _keyed(self, password: str) -> bytes:
        return hmac.digest(self._key, password.encode("utf-8", "surrogatepass"), hashlib.sha256)

    async def _in_turn(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise Overloaded("too many people are signing in at once; try again in a moment", 2.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1

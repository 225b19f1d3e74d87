"""Passwords as they are stored: Argon2id (RFC 9106) over a keyed hash.

The key comes from the installation's master key, which is in no ledger: who steals the ledger alone can guess nothing.
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

#: Passwords that may wait: each takes some 50 ms and 64 MiB, one at a time.
MAX_WAITING: Final = 20


class Argon2Passwords:
    """`actors.application.users.Passwords`. Works in one thread, beside the event loop."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._hasher = PasswordHasher()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._waiting = 0
        #: Of no password: a stranger must not see by the time it takes that there is no such user.
        self._nobody = self._hasher.hash(self._keyed(""))

    async def hash(self, password: str) -> str:
        """What is stored of the password."""
        return await self._in_turn(lambda: self._hasher.hash(self._keyed(password)))

    async def is_right(self, stored: str | None, password: str) -> bool:
        """Whether this is the password of which `stored` is. None takes as long, and never is."""
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
            raise Overloaded("too many people sign in at once; try again in a moment", 2.0)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1

"""Authentication by API key or admin key, sent as `Authorization: Bearer KEY` (RFC 6750)."""

from __future__ import annotations

import asyncio
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from typing import Final

from starlette.datastructures import Headers

from actors.commands.accounts import Account, Authenticate
from actors.gateway.client import Client
from api.http.key_list import KeyList
from api.http.operation import Access
from api.http.problem_types import UNAUTHORIZED
from api.http.problems import ProblemError
from domain.errors import FeedbackLoopsError

#: Seconds between two records of the use of a key.
USE_NOTED_S: Final = 60.0
#: Keys whose last use is remembered.
NOTED_KEYS: Final = 10_000
_MAX_KEY_CHARS: Final = 512

#: Stands for callers without an account: the admin, and everyone where no key is needed.
NOBODY: Final = Account(no=0, id="", name="")


def new_api_key() -> str:
    """A random key, `flk_…`. Only its hash is stored."""
    return f"flk_{secrets.token_urlsafe(32)}"


def key_hash(key: str) -> str:
    """The stored form of an API key: its SHA-256, hex. With 256 random bits, a slow hash is not needed."""
    return sha256(key.encode()).hexdigest()


def sent_key_hash(headers: Headers) -> str:
    """The stored form of the API key that a request was permitted with."""
    return key_hash(_bearer(headers.get("authorization"), Access.ACCOUNT))


class Authenticator:
    """Finds the account of a request: in the list of keys, or through the actors if the list may be outdated."""

    def __init__(
        self, client: Client, admin_key: str, keys: KeyList, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = client
        self._admin_hash = key_hash(admin_key)
        self._keys = keys
        self._monotonic_s = monotonic_s
        #: When the actors last looked up each key, which records its use.
        self._noted_s: OrderedDict[str, float] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()

    async def account_for(
        self, access: Access, authorization: str | None, *, needs_only_the_journal: bool = False
    ) -> Account:
        """The account whose key was sent; `NOBODY` for the admin key, or if the path needs none.

        With `needs_only_the_journal`, a listed key is good while the actors cannot look it up.

        Raises:
            ProblemError: 401.
            FeedbackLoopsError: the key could not be looked up.
        """
        if access is Access.ANYBODY:
            return NOBODY
        hashed = key_hash(_bearer(authorization, access))
        if access is Access.EITHER and self._is_admin(hashed):
            return NOBODY
        if access is Access.ADMIN:
            if not self._is_admin(hashed):
                raise _refused("the key is not the admin key, which this path needs", was_sent=True)
            return NOBODY
        listed = self._keys.account(hashed)
        if listed is not None and (needs_only_the_journal or self._keys.is_fresh):
            self._note_use(hashed)
            return listed
        self._noted(hashed)
        account = await self._client.call(Authenticate(key_hash=hashed))
        if account is None:
            raise _refused(
                "the API key is unknown; send one that POST /v1/accounts or /v1/api-keys returned", was_sent=True
            )
        return account

    def is_operator(self, authorization: str | None) -> bool:
        """Whether the admin key was sent. Anything else is no error: for paths that need no key."""
        try:
            return self._is_admin(key_hash(_bearer(authorization, Access.ADMIN)))
        except ProblemError:
            return False

    def _is_admin(self, hashed: str) -> bool:
        # Comparing hashes hides even the length of the key from timing.
        return hmac.compare_digest(hashed, self._admin_hash)

    def _note_use(self, hashed: str) -> None:
        """Records the use of a listed key about once a minute, without waiting for it."""
        if self._monotonic_s() - self._noted_s.get(hashed, float("-inf")) >= USE_NOTED_S:
            self._noted(hashed)
            task = asyncio.create_task(self._look_up(hashed), name="use of an API key")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _look_up(self, hashed: str) -> None:
        with suppress(FeedbackLoopsError):
            await self._client.call(Authenticate(key_hash=hashed))

    def _noted(self, hashed: str) -> None:
        self._noted_s[hashed] = self._monotonic_s()
        self._noted_s.move_to_end(hashed)
        if len(self._noted_s) > NOTED_KEYS:
            self._noted_s.popitem(last=False)


def _bearer(authorization: str | None, access: Access) -> str:
    which = "the admin key" if access is Access.ADMIN else "an API key"
    if authorization is None:
        raise _refused(f"send {which} in the header `Authorization: Bearer KEY`", was_sent=False)
    scheme, _, key = authorization.partition(" ")
    key = key.strip()
    if scheme.lower() != "bearer" or not 0 < len(key) <= _MAX_KEY_CHARS or not key.isascii():
        raise _refused(f"the header `Authorization` must be `Bearer KEY` with {which}", was_sent=True)
    return key


def _refused(detail: str, *, was_sent: bool) -> ProblemError:
    challenge = 'Bearer realm="feedback-loops"' + (', error="invalid_token"' if was_sent else "")
    return ProblemError(UNAUTHORIZED, detail, headers=(("WWW-Authenticate", challenge),))

"""Authentication by API key or admin key, sent as `Authorization: Bearer KEY` (RFC 6750)."""

from __future__ import annotations

import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from typing import Final

from actors.commands.accounts import Account, Authenticate
from actors.gateway.client import Client
from api.http.operation import Access
from api.http.problems import UNAUTHORIZED, ProblemError

#: Seconds for which a valid key is cached.
CACHE_TTL_S: Final = 5.0
CACHE_SIZE: Final = 10_000
_MAX_KEY_CHARS: Final = 512

#: Stands for callers without an account: the admin, and everyone where no key is needed.
NOBODY: Final = Account(no=0, id="", name="")


def new_api_key() -> str:
    """A random key, `flk_…`. Only its hash is stored."""
    return f"flk_{secrets.token_urlsafe(32)}"


def key_hash(key: str) -> str:
    """The stored form of an API key: its SHA-256, hex. With 256 random bits, a slow hash is not needed."""
    return sha256(key.encode()).hexdigest()


class Authenticator:
    """Finds the account of a request. Valid keys are cached for a few seconds, unknown ones never."""

    def __init__(self, client: Client, admin_key: str, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._admin_hash = key_hash(admin_key)
        self._monotonic_s = monotonic_s
        self._known: OrderedDict[str, tuple[float, Account]] = OrderedDict()

    async def account_for(self, access: Access, authorization: str | None) -> Account:
        """The account whose key was sent; `NOBODY` if the path needs the admin key or none.

        Raises:
            ProblemError: 401.
            FeedbackLoopsError: the key could not be looked up.
        """
        if access is Access.ANYBODY:
            return NOBODY
        hashed = key_hash(_bearer(authorization, access))
        if access is Access.ADMIN:
            # Comparing hashes hides even the length of the key from timing.
            if not hmac.compare_digest(hashed, self._admin_hash):
                raise _refused("the key is not the admin key, which this path needs", was_sent=True)
            return NOBODY
        account = self._remembered(hashed) or await self._client.call(Authenticate(key_hash=hashed))
        if account is None:
            raise _refused(
                "the API key is unknown; send one that POST /v1/accounts or /v1/api-keys returned", was_sent=True
            )
        self._remember(hashed, account)
        return account

    def _remembered(self, hashed: str) -> Account | None:
        until_s, account = self._known.get(hashed, (0.0, None))
        return account if self._monotonic_s() < until_s else None

    def _remember(self, hashed: str, account: Account) -> None:
        if self._remembered(hashed) is None:
            self._known[hashed] = (self._monotonic_s() + CACHE_TTL_S, account)
            self._known.move_to_end(hashed)
            if len(self._known) > CACHE_SIZE:
                self._known.popitem(last=False)


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

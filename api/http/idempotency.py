"""Idempotency keys: a POST sent repeatedly with the same key is executed once and gets the same answer each time.

The answer of a finished request is kept for 24 h, encrypted, because it may contain a secret. Problems are kept too,
except those that a retry may solve: they release the key.
"""

from __future__ import annotations

import base64
import logging
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

import msgspec
from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from actors.commands.service import ClaimKey, KeepAnswer, StoredAnswer
from actors.gateway.client import Client
from api.http.problem_types import MALFORMED
from api.http.problems import ProblemError, problem_of
from api.http.response import Response
from domain.errors import FeedbackLoopsError, IdempotencyConflict
from domain.key_set import KeySet

log = logging.getLogger(__name__)

REPLAYED: Final = ("Idempotency-Replayed", "true")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")

#: Longer than any command takes. A request that was interrupted blocks its key for at most this long.
_LEASE_S: Final = 90
#: Large bodies take longer: one more second per this many bytes.
_BYTES_PER_LEASE_S: Final = 50_000
#: A larger answer is not kept, and its key is released. Only lists of messages and of checks get that large, and they
#: can be requested again: ids of messages are derived from the key, so no message is registered twice.
_MAX_KEPT_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A request with a key: its sender, and a fingerprint that identifies the request."""

    scope: str
    #: SHA-256 of the key: clients make keys of anything, such as an address.
    key: str
    fingerprint: str
    lease_s: int

    @property
    def seed(self) -> str:
        """A text unique to this request; the same when the request is repeated."""
        return _digest(self.scope, self.key, self.fingerprint)


def idempotency_key(values: list[str]) -> str | None:
    """The key among the request's `Idempotency-Key` headers.

    Raises:
        ProblemError: 400, there are several, or it is not 1 to 255 visible ASCII characters.
    """
    if not values:
        return None
    if len(values) > 1 or not _KEY.fullmatch(values[0]):
        raise ProblemError(MALFORMED, "Idempotency-Key must be given once and be 1 to 255 visible ASCII characters")
    return values[0]


def claim_for(scope: str, key: str, *, method: str, path: str, query: str, content_type: str, body: bytes) -> Claim:
    """The claim of one request under its key."""
    fingerprint = _digest(method, path, query, content_type, sha256(body).hexdigest())
    return Claim(
        scope=scope, key=_digest(key), fingerprint=fingerprint, lease_s=_LEASE_S + len(body) // _BYTES_PER_LEASE_S
    )


def _digest(*parts: str) -> str:
    # As JSON, so that different lists of parts never have the same bytes.
    return sha256(msgspec.json.encode(parts)).hexdigest()


class IdempotencyKeys:
    """Executes each request with a key once."""

    def __init__(self, client: Client, keys: Callable[[], KeySet]) -> None:
        """`keys` returns the current installation keys."""
        self._client = client
        self._keys = keys

    async def once(self, claim: Claim, carry_out: Callable[[], Awaitable[Response]]) -> Response:
        """Returns the answer of `carry_out`, or the kept one, marked as replayed. Errors become problem answers.

        Raises:
            IdempotencyConflict: the same request is in progress, or the key belongs to a different request.
            FeedbackLoopsError: the key could not be claimed; nothing was done.
        """
        command = ClaimKey(scope=claim.scope, key=claim.key, fingerprint=claim.fingerprint, lease_s=claim.lease_s)
        stored = await self._client.call(command)
        if stored is not None:
            return self._opened(stored)
        try:
            response = await carry_out()
        except Exception as exc:  # noqa: BLE001 - every error is answered, and the key must be released
            response = problem_of(exc, is_known=True).response()
        await self._keep(claim, response)
        return response

    async def _keep(self, claim: Claim, response: Response) -> None:
        command = KeepAnswer(
            scope=claim.scope,
            key=claim.key,
            fingerprint=claim.fingerprint,
            answer=None if response.frees_key else self._sealed(response),
            message_keys=list(response.message_keys),
        )
        try:
            await self._client.call(command)
        except FeedbackLoopsError as exc:
            # The request was executed. A retry after the lease executes it again, with ids derived from the same seed.
            log.warning("an answer was not kept for its Idempotency-Key", extra={"action": "keep", "problem": str(exc)})

    def _seal(self) -> MultiFernet:
        keys = self._keys().derived("idempotency", 32)
        by_age = sorted(keys.keys, key=lambda key_id: key_id != keys.signing)  # the first one seals
        return MultiFernet([Fernet(base64.urlsafe_b64encode(keys.keys[key_id])) for key_id in by_age])

    def _sealed(self, response: Response) -> StoredAnswer | None:
        if len(response.body) > _MAX_KEPT_BYTES:
            return None
        body = self._seal().encrypt(msgspec.msgpack.encode((response.headers, response.body)))
        return StoredAnswer(status=response.status, content_type=response.content_type, body=body)

    def _opened(self, stored: StoredAnswer) -> Response:
        try:
            opened = self._seal().decrypt(stored.body)
        except InvalidToken:
            detail = "the answer kept for this Idempotency-Key was sealed with a key that was dropped; use a new key"
            raise IdempotencyConflict(detail, False) from None
        headers, body = msgspec.msgpack.decode(opened, type=tuple[tuple[tuple[str, str], ...], bytes])
        response = Response(status=stored.status, content_type=stored.content_type, body=body, headers=headers)
        return replace(response, headers=(*response.headers, REPLAYED))

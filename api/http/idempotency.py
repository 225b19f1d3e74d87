"""Idempotency-Key: a POST that is sent again is answered again, and carried out once.

A finished request's answer is kept for 24 h, sealed, because it may hold a secret. Problems are kept as well, but for
those that a retry may cure: they free the key.
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
from cryptography.fernet import Fernet, InvalidToken

from actors.commands.service import ClaimKey, KeepAnswer, StoredAnswer
from actors.gateway.client import Client
from api.http.problems import MALFORMED, ProblemError, problem_of
from api.http.response import Response
from domain.errors import FeedbackLoopsError, IdempotencyConflict
from domain.key_derivation import derive

log = logging.getLogger(__name__)

REPLAYED: Final = ("Idempotency-Replayed", "true")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,255}")

#: Longer than the longest command takes; a request that died blocks its key no longer than this.
_LEASE_S: Final = 90
#: Large bodies take longer, by one second for so many bytes.
_BYTES_PER_LEASE_S: Final = 50_000
#: A larger answer is not kept, its key is freed. Only lists of messages and of checks get so large, and those can be
#: asked for again: a message's id is made from the key, so it is registered once all the same.
_MAX_KEPT_BYTES: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A request with a key: who sent it, and what tells it from every other."""

    scope: str
    key: str
    fingerprint: str
    lease_s: int

    @property
    def seed(self) -> str:
        """A text that no other request has, and this one has again when it is repeated."""
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
    return Claim(scope=scope, key=key, fingerprint=fingerprint, lease_s=_LEASE_S + len(body) // _BYTES_PER_LEASE_S)


def _digest(*parts: str) -> str:
    # As JSON, so that no two lists of parts are the same bytes.
    return sha256(msgspec.json.encode(parts)).hexdigest()


class IdempotencyKeys:
    """Carries requests with a key out, once each."""

    def __init__(self, client: Client, master_key: bytes) -> None:
        self._client = client
        self._seal = Fernet(base64.urlsafe_b64encode(derive(master_key, "idempotency", 32)))

    async def once(self, claim: Claim, carry_out: Callable[[], Awaitable[Response]]) -> Response:
        """The answer of `carry_out`, or the one it gave before, marked as replayed. Errors become problem answers.

        Raises:
            IdempotencyConflict: the same request is in progress, or the key belongs to another.
            FeedbackLoopsError: the key could not be claimed; nothing was done.
        """
        command = ClaimKey(scope=claim.scope, key=claim.key, fingerprint=claim.fingerprint, lease_s=claim.lease_s)
        stored = await self._client.call(command)
        if stored is not None:
            return self._opened(stored)
        try:
            response, is_final = await carry_out(), True
        except Exception as exc:  # noqa: BLE001 - whatever it is, it is answered, and the key must not stay claimed
            problem = problem_of(exc)
            response, is_final = problem.response(), not problem.kind.retry
        await self._keep(claim, self._sealed(response) if is_final else None)
        return response

    async def _keep(self, claim: Claim, answer: StoredAnswer | None) -> None:
        command = KeepAnswer(scope=claim.scope, key=claim.key, fingerprint=claim.fingerprint, answer=answer)
        try:
            await self._client.call(command)
        except FeedbackLoopsError as exc:
            # What was asked for is done. A retry after the lease does it again, with ids made from the same seed.
            log.warning("an answer was not kept for its Idempotency-Key", extra={"action": "keep", "problem": str(exc)})

    def _sealed(self, response: Response) -> StoredAnswer | None:
        if len(response.body) > _MAX_KEPT_BYTES:
            return None
        body = self._seal.encrypt(msgspec.msgpack.encode((response.headers, response.body)))
        return StoredAnswer(status=response.status, content_type=response.content_type, body=body)

    def _opened(self, stored: StoredAnswer) -> Response:
        try:
            opened = self._seal.decrypt(stored.body)
        except InvalidToken:
            detail = "the answer kept for this Idempotency-Key was sealed with another master key; use a new key"
            raise IdempotencyConflict(detail, False) from None
        headers, body = msgspec.msgpack.decode(opened, type=tuple[tuple[tuple[str, str], ...], bytes])
        response = Response(status=stored.status, content_type=stored.content_type, body=body, headers=headers)
        return replace(response, headers=(*response.headers, REPLAYED))

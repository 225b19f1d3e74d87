"""Secrets of actors: each asks a gateway for those that its role needs, over a link that Ray's token authenticates.

An actor's arguments are kept by Ray's head, so they contain no secret. Gateways list their addresses in Ray's
key-value store; any of them answers, if it belongs to the same installation and has the same store.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from typing import Final

import msgspec

from actors.ipc.connection import Connection
from actors.ipc.frames import FrameProtocol
from actors.metrics import catalogue as m
from actors.ray_runtime import cluster_state
from domain.errors import FeedbackLoopsError, InvalidInput, Unavailable
from domain.key_set import KeySet
from domain.return_path import return_path_keys
from domain.signing import loop_keys
from domain.tokens import tracking_keys

log = logging.getLogger(__name__)

#: For each gateway; some may be on machines that are off.
CONNECT_TIMEOUT_S: Final = 0.5
REQUEST_TIMEOUT_S: Final = 5.0
RETRY_S: Final = 0.2


class SecretsFrame(IntEnum):
    """Kinds of frames from an actor to a gateway."""

    ROLE = 20
    LOOP = 21


class RoleSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """Secrets that an actor needs, by its role."""

    #: URL of the store; None: SQLite.
    store: str | None
    #: Keys of tracking tokens and return paths, only for enrichers: returned mail contains tokens.
    tracking: KeySet | None = None
    return_path: KeySet | None = None


class _Question(msgspec.Struct, frozen=True, kw_only=True):
    #: Fingerprint of the installation.
    installation: str
    #: Digest of the store's URL (`Deployment.options`): during a change of the URL, gateways have different ones.
    store: str
    #: The kind of process, or the loop's id.
    subject: str


_read_question: Final = msgspec.json.Decoder(_Question).decode
_read_role: Final = msgspec.json.Decoder(RoleSecrets).decode
_read_keys: Final = msgspec.json.Decoder(KeySet).decode


class SecretsServer:
    """Answers actors, in the gateway."""

    def __init__(self, installation: str, store_digest: str, store: str | None, keys: Callable[[], KeySet]) -> None:
        """`keys` returns the current installation keys."""
        self._installation = installation
        self._store_digest = store_digest
        self._store = store
        self._keys = keys

    async def handle(self, kind: int, body: bytes) -> bytes:
        """The `Handler` of a `FrameServer`.

        Raises:
            Unavailable: the actor belongs to another installation or has another store.
            InvalidInput: the question is not known.
        """
        question = _read_question(body)
        if (question.installation, question.store) != (self._installation, self._store_digest):
            raise Unavailable("this gateway has another installation or another store")
        if kind == SecretsFrame.ROLE:
            return msgspec.json.encode(self._role(question.subject))
        if kind == SecretsFrame.LOOP:
            return msgspec.json.encode(loop_keys(self._keys(), question.subject))
        raise InvalidInput(f"there are no frames of the kind {kind}")

    def _role(self, process: str) -> RoleSecrets:
        if process != m.ENRICHER:
            return RoleSecrets(store=self._store)
        keys = self._keys()
        return RoleSecrets(store=self._store, tracking=tracking_keys(keys), return_path=return_path_keys(keys))


class SecretsClient:
    """Asks any gateway.

    Args:
        installation: fingerprint of the actor's.
        store_digest: that of the URL of the actor's store.
        process: the kind of the actor's process.
        link_key: what authenticates the link.
    """

    def __init__(self, installation: str, store_digest: str, process: str, link_key: bytes) -> None:
        self._installation = installation
        self._store_digest = store_digest
        self._process = process
        self._link_key = link_key
        self._connection: Connection | None = None

    def fetch(self) -> RoleSecrets:
        """The secrets of the actor's role, however long it takes. Blocks; only before the event loop uses this."""
        found: list[RoleSecrets] = []

        def run() -> None:
            found.append(asyncio.run(self._fetch()))

        thread = threading.Thread(target=run, name="secrets")
        thread.start()
        thread.join()
        return found[0]

    async def role(self) -> RoleSecrets:
        """The secrets of the actor's role. Raises `Unavailable`."""
        return _read_role(await self._ask(SecretsFrame.ROLE, self._process))

    async def loop_keys(self, loop_id: str) -> KeySet:
        """The keys of one loop. Raises `Unavailable`."""
        return _read_keys(await self._ask(SecretsFrame.LOOP, loop_id))

    async def _fetch(self) -> RoleSecrets:
        is_logged = False
        while True:
            try:
                found = await self.role()
            except FeedbackLoopsError as exc:
                if not is_logged:
                    log.warning("waiting for a gateway", extra={"action": "secrets_awaited", "problem": str(exc)})
                    is_logged = True
                await asyncio.sleep(RETRY_S)
            else:
                await self._close()
                return found

    async def _ask(self, kind: int, subject: str) -> bytes:
        question = _Question(installation=self._installation, store=self._store_digest, subject=subject)
        if self._connection is None:
            self._connection = Connection("a gateway", _connect, lambda: self._link_key)
        try:
            return await self._connection.request(kind, msgspec.json.encode(question), REQUEST_TIMEOUT_S)
        except FeedbackLoopsError as exc:
            await self._close()  # the next may reach another gateway
            if isinstance(exc, Unavailable):
                raise
            raise Unavailable(f"a gateway does not answer: {exc}") from exc

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()


async def _connect(protocol: Callable[[], FrameProtocol]) -> None:
    addresses = await asyncio.to_thread(cluster_state.gateways)
    random.shuffle(addresses)
    for host, port in addresses:
        with suppress(OSError):  # it has ended, or its machine has
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await asyncio.get_running_loop().create_connection(protocol, host, port)
                return
    raise Unavailable("no gateway answers")

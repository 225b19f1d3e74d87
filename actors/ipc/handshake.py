"""Handshake of a connection: each end proves to the other that it has the key, which is never sent.

    server to client   CHALLENGE   nonce (16 bytes)
    client to server   PROOF       nonce (16) · HMAC-SHA256 of "client", both nonces and the server's address (32)
    server to client   WELCOME     HMAC-SHA256 of "server", both nonces and the server's address (32)

A proof is worth nothing on another connection, whose nonces differ, nor at another address: whoever listens where an
actor has been cannot pass a client's proof on to where the actor is now. Until the end of the handshake, an end reads
at most `MAX_UNAUTHENTICATED_BYTES`, and sends nothing else.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import socket
from collections.abc import Callable
from typing import Final

from actors.ipc.frames import HEADER, MAX_BODY_BYTES, FrameProtocol, OnFrame
from domain.errors import Unavailable
from domain.key_derivation import derive

#: The longest frame of the handshake has 61.
MAX_UNAUTHENTICATED_BYTES: Final = 64
#: How long a client waits for the other end's proof.
HANDSHAKE_S: Final = 5.0
CHALLENGE: Final = 2
PROOF: Final = 3
WELCOME: Final = 4
NONCE_BYTES: Final = 16


def connection_key(secret: bytes) -> bytes:
    """The key of the connections to actors, whose ports every program on the machine can reach."""
    return derive(secret, "actor-links", 32)


class _End(FrameProtocol):
    def __init__(self, key: bytes, on_frame: OnFrame, on_lost: Callable[[], None]) -> None:
        super().__init__(self._on_handshake, on_lost, MAX_UNAUTHENTICATED_BYTES - HEADER.size)
        self._key = key
        self._on_frame_later = on_frame
        self._nonce = secrets.token_bytes(NONCE_BYTES)

    def _on_handshake(self, kind: int, request_id: int, body: bytes) -> None:
        raise NotImplementedError

    def _proof(self, role: bytes, nonces: bytes, address: bytes) -> bytes:
        return hmac.digest(self._key, role + nonces + address, hashlib.sha256)

    def _open(self) -> None:
        self.pass_frames_to(self._on_frame_later, MAX_BODY_BYTES)


class ServerEnd(_End):
    """The server's end. Calls `on_authenticated` when the client has proved that it has the key."""

    def __init__(
        self, key: bytes, on_frame: OnFrame, on_lost: Callable[[], None], on_authenticated: Callable[[], None]
    ) -> None:
        super().__init__(key, on_frame, on_lost)
        self._on_authenticated = on_authenticated

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._address = _address(transport, socket.socket.getsockname)
        self.send(CHALLENGE, 0, self._nonce)

    def _on_handshake(self, kind: int, _request_id: int, body: bytes) -> None:
        nonces = self._nonce + body[:NONCE_BYTES]
        expected = self._proof(b"client", nonces, self._address)
        if kind != PROOF or not hmac.compare_digest(body[NONCE_BYTES:], expected):
            self.abort()
            return
        self._open()
        self.send(WELCOME, 0, self._proof(b"server", nonces, self._address))
        self._on_authenticated()


class ClientEnd(_End):
    """The client's end."""

    def __init__(self, key: bytes, on_frame: OnFrame, on_lost: Callable[[], None]) -> None:
        super().__init__(key, on_frame, on_lost)
        self._welcomed = asyncio.Event()
        self._nonces = b""

    async def authenticated(self) -> None:
        """Returns when the other end has proved that it has the key.

        Raises:
            Unavailable: it has not, or the connection is lost.
        """
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                await self._welcomed.wait()
        except TimeoutError:
            self.abort()
            raise Unavailable("the other end does not finish the handshake") from None
        if not self.is_open:
            raise Unavailable("the other end refused the handshake, or went away")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._address = _address(transport, socket.socket.getpeername)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._welcomed.set()

    def _on_handshake(self, kind: int, _request_id: int, body: bytes) -> None:
        if kind == CHALLENGE and not self._nonces and len(body) == NONCE_BYTES:
            self._nonces = body + self._nonce
            self.send(PROOF, 0, self._nonce + self._proof(b"client", self._nonces, self._address))
        elif (
            kind == WELCOME
            and self._nonces
            and hmac.compare_digest(body, self._proof(b"server", self._nonces, self._address))
        ):
            self._open()
            self._welcomed.set()
        else:
            self.abort()


def _address(transport: asyncio.BaseTransport, name: Callable[..., object]) -> bytes:
    """The server's address, as one end sees it. File permissions guard Unix sockets; they have none."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return b""
    host, port = getattr(sock, name.__name__)()[:2]
    return f"{host} {port}".encode()

"""Encoder of tracking hits: turns a request into the bytes that the journal stores."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from actors.adapters.uuid7 import UUID7s
from actors.commands.intake import encode_entry
from api.http.client_address import ClientAddresses, Header
from domain.kept_ip import KeepIp, kept_ip
from domain.tokens import TrackingToken
from domain.tracking import TrackingHit

#: Maximum characters kept of a header.
MAX_HEADER_CHARS: Final = 1024
_PURPOSE: Final = frozenset({b"sec-purpose", b"purpose", b"x-purpose", b"x-moz"})


class HitEncoder:
    """Makes an intake entry from a request with a genuine token. Assigns the event's id (I3)."""

    def __init__(self, now_ms: Callable[[], int], addresses: ClientAddresses, keep_ip: KeepIp = KeepIp.FULL) -> None:
        """`now_ms` is Unix time in milliseconds."""
        self._keep_ip = keep_ip
        self._now_ms = now_ms
        self._addresses = addresses
        self._ids = UUID7s()

    def encode(self, token: TrackingToken, peer: str, headers: Iterable[Header]) -> bytes:
        """The hit as a journal entry. `peer` is the connection's address; `headers` have lower-case names (ASGI)."""
        useragent = referer = b""
        purposes: list[bytes] = []
        for name, value in headers:
            if name == b"user-agent":
                useragent = value
            elif name == b"referer":
                referer = value
            elif name in _PURPOSE:
                purposes.append(value)
        now_ms = self._now_ms()
        return encode_entry(
            TrackingHit(
                self._ids.next(now_ms),
                token.kind,
                token.account_no,
                token.message_key,
                now_ms,
                token.target,
                kept_ip(self._keep_ip, self._addresses.of(peer, headers)),
                header_text(useragent),
                header_text(referer),
                header_text(b", ".join(purposes)).lower(),
            )
        )


def header_text(value: bytes) -> str:
    """A header's value, cut to 1024 characters: UTF-8, or ISO 8859-1 if it is not UTF-8 (RFC 9110, section 5.5)."""
    try:
        return value.decode()[:MAX_HEADER_CHARS]
    except UnicodeDecodeError:
        return value.decode("latin-1")[:MAX_HEADER_CHARS]

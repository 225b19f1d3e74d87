"""Encrypted texts for the query of a URL: they must not be readable there, because browsers and proxies keep URLs."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from hashlib import sha256

from cryptography.fernet import Fernet, InvalidToken

from api.dashboard.request import Visit


def sealed(visit: Visit, text: str) -> str:
    """The text, readable only in this session; empty if it is empty."""
    return _cipher(visit).encrypt(text.encode()).decode() if text else ""


def opened(visit: Visit, token: str) -> str:
    """The text of a token of this session; empty for any other."""
    try:
        return _cipher(visit).decrypt(token.encode()).decode() if token else ""
    except (InvalidToken, UnicodeEncodeError):
        return ""


def _cipher(visit: Visit) -> Fernet:
    # Only the holder of the session's cookie can compute its CSRF token.
    return Fernet(urlsafe_b64encode(sha256(b"private query:" + visit.csrf.encode()).digest()))

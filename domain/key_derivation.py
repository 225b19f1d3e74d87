"""Keys for one purpose each, derived from the installation's master key."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

_HASH_BYTES: Final = 32
_MAX_BYTES: Final = 255 * _HASH_BYTES


def derive(master: bytes, purpose: str, length: int = 32) -> bytes:
    """The key for `purpose`. It is always the same, and reveals neither the master key nor the key for another purpose.

    HKDF-SHA256 without salt, `purpose` (UTF-8) as its info (RFC 5869). `length` is in bytes, at most 8160.
    """
    if not 0 < length <= _MAX_BYTES:
        raise ValueError(f"length must be 1 to {_MAX_BYTES} bytes, not {length}")
    pseudo_random_key = hmac.digest(bytes(_HASH_BYTES), master, hashlib.sha256)
    key, block, info = b"", b"", purpose.encode()
    for counter in range(1, -(-length // _HASH_BYTES) + 1):
        block = hmac.digest(pseudo_random_key, block + info + bytes([counter]), hashlib.sha256)
        key += block
    return key[:length]

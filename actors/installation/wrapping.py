"""Wrapping of installation keys by the master key: AES-256-GCM, with a key that HKDF derives from the master key."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import StoreUnavailable
from domain.key_derivation import derive
from domain.key_ring import KeyRing
from domain.key_set import KeySet

KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12

#: Cryptographically secure random bytes, given their number.
RandomBytes = Callable[[int], bytes]


def master_fingerprint(master_key: bytes) -> str:
    """16 hexadecimal digits that distinguish master keys and reveal none."""
    return derive(master_key, "master-fingerprint", 8).hex()


def wrap(key: bytes, installation: str, key_id: int, master_key: bytes, random_bytes: RandomBytes) -> str:
    """An installation key, wrapped (base64). It only unwraps for the same installation and id."""
    nonce = random_bytes(_NONCE_BYTES)
    return b64encode(nonce + _cipher(master_key).encrypt(nonce, key, _context(installation, key_id))).decode()


def new_ring(installation: str, master_key: bytes, random_bytes: RandomBytes, now_ms: int) -> KeyRing:
    """The ring of a new installation, with a random key."""
    text = wrap(random_bytes(KEY_BYTES), installation, 1, master_key, random_bytes)
    return KeyRing.first(installation, {master_fingerprint(master_key): text}, now_ms)


def unwrapped(ring: KeyRing, master_keys: Iterable[bytes]) -> KeySet:
    """The keys of a ring. Any of the master keys may have wrapped them.

    Raises:
        StoreUnavailable: none of the master keys did, or a wrapped key is damaged.
    """
    masters = {master_fingerprint(master_key): master_key for master_key in master_keys}
    keys = {}
    for key in ring.keys:
        master = next((name for name in key.wrapped if name in masters), None)
        if master is None:
            raise StoreUnavailable(
                f"the keys of installation {ring.fingerprint} are wrapped by the master key {', '.join(key.wrapped)}, "
                f"not by {', '.join(masters) or 'none'}: start with that master key (--master-key-file, "
                "FEEDBACK_LOOPS_MASTER_KEY, or master.key in the data directory)"
            )
        raw = b64decode(key.wrapped[master])
        cipher, context = _cipher(masters[master]), _context(ring.installation, key.id)
        try:
            keys[key.id] = cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], context)
        except (InvalidTag, ValueError) as exc:
            problem = f"installation key {key.id} is damaged: restore keys.json or the store from a backup"
            raise StoreUnavailable(problem) from exc
    return KeySet(ring.signing, keys)


def _cipher(master_key: bytes) -> AESGCM:
    return AESGCM(derive(master_key, "installation-keys"))


def _context(installation: str, key_id: int) -> bytes:
    return f"{installation}/{key_id}".encode()

"""The secrets that a loop's POSTs are signed with."""

from __future__ import annotations

from base64 import b64encode
from typing import Final, NamedTuple

from domain.errors import UnknownKey
from domain.key_derivation import derive
from domain.key_set import KeySet

#: Standard Webhooks asks for 24 to 64 bytes.
SECRET_BYTES: Final = 24


class SigningSecret(NamedTuple):
    """A version of a loop's secret. `until_ms` (Unix time) is when it stops signing, None for the current one."""

    secret: bytes
    until_ms: int | None


def loop_keys(keys: KeySet, loop_id: str) -> KeySet:
    """The keys of one loop (`fl_…`), from those of the installation. They reveal no other loop's keys."""
    return keys.derived(f"loop/{loop_id}")


def loop_secret(keys: KeySet, key_id: int, version: int) -> bytes:
    """One version of a loop's secret, from 1, by the loop's own keys. It is derived, and stored nowhere.

    Raises:
        UnknownKey: its installation key was dropped.
    """
    key = keys.keys.get(key_id)
    if key is None:
        raise UnknownKey(f"installation key {key_id} was dropped, and with it version {version} of the secret")
    return derive(key, f"secret/{version}", SECRET_BYTES)


def secret_text(secret: bytes) -> str:
    """The secret as its owner sees it and as Standard Webhooks' libraries accept it: `whsec_…`."""
    return f"whsec_{b64encode(secret).decode()}"

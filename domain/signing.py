"""The secrets that a loop's POSTs are signed with."""

from __future__ import annotations

from base64 import b64encode
from typing import Final, NamedTuple

from domain.key_derivation import derive

#: Standard Webhooks asks for 24 to 64 bytes.
SECRET_BYTES: Final = 24


class SigningSecret(NamedTuple):
    """A version of a loop's secret. `until_ms` (Unix time) is when it stops signing, None for the current one."""

    secret: bytes
    until_ms: int | None


def loop_secret(master: bytes, loop_id: str, version: int) -> bytes:
    """The secret of a loop (`fl_…`) in one of its versions, from 1. It is derived, and stored nowhere."""
    return derive(master, f"loop-secret/{loop_id}/{version}", SECRET_BYTES)


def secret_text(secret: bytes) -> str:
    """The secret as its owner sees it and as Standard Webhooks' libraries accept it: `whsec_…`."""
    return f"whsec_{b64encode(secret).decode()}"

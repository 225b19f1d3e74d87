"""A loop's secret and the signature made with it. Source: Standard Webhooks 1.0."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Sequence
from typing import Final

from domain.key_derivation import derive

#: Standard Webhooks asks for 24 to 64 bytes.
SECRET_BYTES: Final = 24


def loop_secret(master: bytes, loop_id: str, version: int) -> bytes:
    """The secret of a loop (`fl_…`) in one of its versions, from 1. It is stored nowhere."""
    return derive(master, f"loop-secret/{loop_id}/{version}", SECRET_BYTES)


def secret_text(secret: bytes) -> str:
    """The secret as its owner gets it, and as Standard Webhooks' libraries take it: `whsec_…`."""
    return f"whsec_{b64encode(secret).decode()}"


def standard_webhooks_signature(secrets: Sequence[bytes], message_id: str, timestamp_s: int, body: bytes) -> str:
    """The value of `webhook-signature`: one `v1,<base64>` for each secret, in order, separated by spaces.

    `message_id` and `timestamp_s` (Unix seconds) are the values of `webhook-id` and `webhook-timestamp`.
    """
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return " ".join(f"v1,{b64encode(hmac.digest(s, signed, hashlib.sha256)).decode()}" for s in secrets)

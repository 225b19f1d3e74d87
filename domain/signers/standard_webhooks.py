"""Signature of every POST: HMAC-SHA256 with the loop's secrets. Source: Standard Webhooks 1.0."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Sequence

from domain.signing import SigningSecret


class StandardWebhooks:
    """Signs with each valid secret. Computes the parts that depend only on the second once per second."""

    def __init__(self, secrets: Sequence[SigningSecret]) -> None:
        self._all_secrets = secrets
        self._second = -1
        self._timestamp = ("", "")
        self._secrets: list[bytes] = []

    def sign(
        self,
        method: str,  # noqa: ARG002  the protocol's
        url: str,  # noqa: ARG002
        headers: list[tuple[str, str]],
        body: bytes,
        event_id: str,
        now_ms: int,
    ) -> None:
        """Appends `webhook-timestamp`, `webhook-id` and `webhook-signature`."""
        second = now_ms // 1000
        if second != self._second:
            self._second = second
            self._timestamp = ("webhook-timestamp", str(second))
            self._secrets = [s for s, until_ms in self._all_secrets if until_ms is None or now_ms < until_ms]
        headers += (
            self._timestamp,
            ("webhook-id", event_id),
            ("webhook-signature", standard_webhooks_signature(self._secrets, event_id, second, body)),
        )


def standard_webhooks_signature(secrets: Sequence[bytes], message_id: str, timestamp_s: int, body: bytes) -> str:
    """The value of `webhook-signature`: one `v1,<base64>` for each secret, in order, separated by spaces.

    `message_id` and `timestamp_s` (Unix seconds) are the values of `webhook-id` and `webhook-timestamp`.
    """
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    return " ".join([f"v1,{b64encode(hmac.digest(s, signed, hashlib.sha256)).decode()}" for s in secrets])

"""Checks the signature of a POST as a handler should. Source: Standard Webhooks 1.0."""

from __future__ import annotations

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from hmac import compare_digest
from typing import Final

from domain.signers.standard_webhooks import standard_webhooks_signature

#: An older POST may be a captured one that is sent again.
TOLERANCE_S: Final = 300
_PREFIX: Final = "whsec_"


def read_secret(text: str) -> bytes:
    """The key in a `whsec_…`.

    Raises:
        ValueError: it is not such a secret.
    """
    try:
        key = b64decode(text.removeprefix(_PREFIX), validate=True)
    except (ValueError, Base64Error):
        key = b""
    if not key or not text.startswith(_PREFIX):
        raise ValueError(f"a secret is {_PREFIX} and base64, as the service gave it")
    return key


def signature_problem(secrets: Sequence[bytes], headers: Mapping[str, str], body: bytes, now_s: int) -> str | None:
    """The problem with a POST's signature, or None if one of the secrets made it.

    `headers` have names in lower case; `now_s` is Unix time.
    """
    message_id, timestamp = headers.get("webhook-id"), headers.get("webhook-timestamp")
    signatures = headers.get("webhook-signature")
    if message_id is None or timestamp is None or signatures is None:
        return "not signed: a webhook-… header is missing"
    if not (timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 12):
        return "webhook-timestamp is not a time"
    if abs(now_s - int(timestamp)) > TOLERANCE_S:
        return f"signed {now_s - int(timestamp)} s ago; this clock or the sender's is wrong, or it is a replay"
    expected = standard_webhooks_signature(secrets, message_id, int(timestamp), body).split(" ")
    given = signatures.split(" ")[:16]
    if any(compare_digest(ours.encode(), theirs.encode()) for ours in expected for theirs in given):
        return None
    return "the signature is not made with this secret"

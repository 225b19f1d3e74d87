"""`domain.signers.standard_webhooks` against the reference verifier."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from domain.key_set import KeySet
from domain.signers.standard_webhooks import standard_webhooks_signature
from domain.signing import loop_keys, loop_secret, secret_text

BODIES = st.text(st.characters(exclude_categories=["Cs"]))


def headers(secrets: list[bytes], event: str, body: bytes) -> dict[str, str]:
    """The headers of a current POST; the verifier refuses old ones."""
    now_s = int(datetime.now(UTC).timestamp())
    return {
        "webhook-id": event,
        "webhook-timestamp": str(now_s),
        "webhook-signature": standard_webhooks_signature(secrets, event, now_s, body),
    }


@given(st.binary(min_size=32, max_size=32), st.uuids(), st.integers(1, 1000), BODIES)
def test_receivers_can_verify(master: bytes, event: object, version: int, text: str) -> None:
    """The reference verifier accepts a POST signed with the loop's secret."""
    secret = loop_secret(loop_keys(KeySet.single(master), "fl_1"), 1, version)
    body = text.encode()
    Webhook(secret_text(secret)).verify(body, headers([secret], f"evt_{event}", body), json_parse=False)


@given(BODIES, st.lists(st.binary(min_size=24, max_size=64), min_size=1, max_size=4, unique=True))
def test_any_of_the_secrets_verifies(text: str, secrets: list[bytes]) -> None:
    """During a rotation, any of the secrets verifies."""
    body = text.encode()
    signed = headers(secrets, "evt_1", body)
    for secret in secrets:
        Webhook(secret_text(secret)).verify(body, signed, json_parse=False)


@given(BODIES, BODIES)
def test_a_changed_body_is_detected(text: str, other: str) -> None:
    """Neither another body nor another secret verifies."""
    secret, body = b"s" * 24, text.encode()
    signed = headers([secret], "evt_1", body)
    if other != text:
        with pytest.raises(WebhookVerificationError):
            Webhook(secret_text(secret)).verify(other.encode(), signed, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret_text(b"t" * 24)).verify(body, signed, json_parse=False)

"""`domain.signing`: fixed cases."""

from __future__ import annotations

from domain.key_set import KeySet
from domain.signing import loop_keys, loop_secret, secret_text

KEYS = KeySet(2, {1: bytes(32), 2: b"x" * 32})


def test_a_secret_belongs_to_one_loop_and_version() -> None:
    """Loops, versions and installation keys do not share secrets, and derivation is deterministic."""
    secrets = {
        loop_secret(loop_keys(KEYS, "fl_1"), 1, 1),
        loop_secret(loop_keys(KEYS, "fl_1"), 1, 2),
        loop_secret(loop_keys(KEYS, "fl_2"), 1, 1),
        loop_secret(loop_keys(KEYS, "fl_1"), 2, 1),
    }
    assert len(secrets) == 4
    assert loop_secret(loop_keys(KEYS, "fl_1"), 1, 1) in secrets
    assert {len(secret) for secret in secrets} == {24}


def test_the_text_of_a_secret_is_base64_with_a_prefix() -> None:
    """The libraries of Standard Webhooks accept the text."""
    assert secret_text(b"\xff" * 24) == "whsec_" + "/" * 32

"""`domain.signing`: fixed cases."""

from __future__ import annotations

from base64 import b64decode

from domain.signing import loop_secret, secret_text, standard_webhooks_signature

MASTER = bytes(32)


def test_it_is_the_example_of_standard_webhooks() -> None:
    """The signature is the one that the specification's own libraries are tested with."""
    secret = b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = standard_webhooks_signature(
        [secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_belongs_to_one_loop_and_version() -> None:
    """Loops, versions and installations do not share secrets, and a secret is always the same."""
    secrets = {
        loop_secret(MASTER, "fl_1", 1),
        loop_secret(MASTER, "fl_1", 2),
        loop_secret(MASTER, "fl_2", 1),
        loop_secret(b"x" * 32, "fl_1", 1),
    }
    assert len(secrets) == 4
    assert loop_secret(MASTER, "fl_1", 1) in secrets
    assert {len(secret) for secret in secrets} == {24}


def test_the_text_of_a_secret_is_base64_with_a_prefix() -> None:
    """The text is what Standard Webhooks' libraries take."""
    assert secret_text(b"\xff" * 24) == "whsec_" + "/" * 32


def test_without_secrets_there_is_no_signature() -> None:
    """No secret, no signature; two secrets, two signatures in order."""
    one, two = b"1" * 24, b"2" * 24
    assert standard_webhooks_signature([], "evt_1", 1, b"") == ""
    assert standard_webhooks_signature([one, two], "evt_1", 1, b"").split(" ") == [
        standard_webhooks_signature([one], "evt_1", 1, b""),
        standard_webhooks_signature([two], "evt_1", 1, b""),
    ]

"""`domain.signers.standard_webhooks`: fixed cases."""

from __future__ import annotations

from base64 import b64decode

from domain.signers.standard_webhooks import standard_webhooks_signature


def test_the_example_of_the_specification() -> None:
    """The signature equals the one in the tests of the specification's libraries."""
    secret = b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = standard_webhooks_signature(
        [secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_without_secrets_there_is_no_signature() -> None:
    """No secret yields no signature; two secrets yield two in order."""
    one, two = b"1" * 24, b"2" * 24
    assert standard_webhooks_signature([], "evt_1", 1, b"") == ""
    assert standard_webhooks_signature([one, two], "evt_1", 1, b"").split(" ") == [
        standard_webhooks_signature([one], "evt_1", 1, b""),
        standard_webhooks_signature([two], "evt_1", 1, b""),
    ]

"""`domain.signers`: the signers of a loop's POSTs."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from domain.signers import SIGNERS, SignatureScheme, signers_of
from domain.signers.standard_webhooks import StandardWebhooks
from domain.signing import SigningSecret

SECRETS = (SigningSecret(b"s" * 24, None),)


class RecordingSigner:
    """A signer that signs nothing, and records its arguments."""

    def __init__(self, secrets: Sequence[SigningSecret]) -> None:
        self.secrets = secrets

    def sign(
        self, method: str, url: str, headers: list[tuple[str, str]], body: bytes, event_id: str, now_ms: int
    ) -> None:
        names = " ".join(name for name, _ in headers)
        headers.append(("X-Made-Up", f"{method} {url} {names} {body.decode()} {event_id} {now_ms}"))


def signed(scheme: str) -> list[tuple[str, str]]:
    headers = [("Date", "today")]
    for signer in signers_of(scheme, SECRETS):
        signer.sign("POST", "https://h.example/", headers, b"{}", "evt_1", 1_700_000_000_123)
    return headers


@pytest.mark.parametrize("scheme", list(SignatureScheme))
def test_every_post_has_the_signature_of_standard_webhooks(scheme: SignatureScheme) -> None:
    """It has one even if a loop asks for a signature that this version cannot make."""
    assert isinstance(signers_of(scheme, SECRETS)[0], StandardWebhooks)
    assert [name for name, _ in signed(scheme)] == ["Date", "webhook-timestamp", "webhook-id", "webhook-signature"]


def test_an_additional_signer_comes_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets method, URL, headers, body, event and time; loops that do not ask for it are unaffected."""
    monkeypatch.setattr("domain.signers.SIGNERS", {**SIGNERS, SignatureScheme.CAVAGE: RecordingSigner})
    standard = ["webhook-timestamp", "webhook-id", "webhook-signature"]

    assert signed("cavage")[-1] == (
        "X-Made-Up",
        f"POST https://h.example/ Date {' '.join(standard)} {{}} evt_1 1700000000123",
    )
    assert [name for name, _ in signed("none")] == ["Date", *standard]


def test_secrets_sign_until_they_expire() -> None:
    """A former secret signs until it expires; the signature is cached for at most a second."""
    signer = StandardWebhooks((SigningSecret(b"n" * 24, None), SigningSecret(b"o" * 24, 2_000)))

    def signatures(now_ms: int) -> int:
        headers: list[tuple[str, str]] = []
        signer.sign("POST", "https://h.example/", headers, b"{}", "evt_1", now_ms)
        return len(dict(headers)["webhook-signature"].split(" "))

    assert [signatures(ms) for ms in (1_000, 1_999, 2_000, 3_000)] == [2, 2, 1, 1]

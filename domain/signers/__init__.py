"""Signers of POSTs: one module per scheme, and the table of the schemes that a loop can choose."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Final, Protocol

from domain.signers.standard_webhooks import StandardWebhooks
from domain.signing import SigningSecret


class SignatureScheme(StrEnum):
    """The signature that a loop asks for in addition to Standard Webhooks. Source: the contract, section 5."""

    NONE = "none"
    CAVAGE = "cavage"
    RFC9421 = "rfc9421"


class Signer(Protocol):
    """Signs the POSTs of one loop."""

    def sign(
        self, method: str, url: str, headers: list[tuple[str, str]], body: bytes, event_id: str, now_ms: int
    ) -> None:
        """Appends the signature's headers to `headers`, which are the request's others.

        `event_id` is `evt_…`. `now_ms` is the time of the attempt (Unix, milliseconds).
        """
        ...


#: Creates the signer of a loop from its secrets, newest first.
SignerFactory = Callable[[Sequence[SigningSecret]], Signer]

#: The schemes that a loop can choose. Standard Webhooks is not listed: every POST has its signature.
SIGNERS: Final[Mapping[SignatureScheme, SignerFactory | None]] = {SignatureScheme.NONE: None}


def signers_of(scheme: str, secrets: Sequence[SigningSecret]) -> list[Signer]:
    """The signers of a loop's POSTs: Standard Webhooks, then the one that the loop asks for, if any."""
    signers: list[Signer] = [StandardWebhooks(secrets)]
    make_signer = SIGNERS.get(SignatureScheme(scheme))
    if make_signer is not None:
        signers.append(make_signer(secrets))
    return signers

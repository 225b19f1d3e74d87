"""People as the ledger finds them: one text for all spellings of an e-mail address."""

from __future__ import annotations

from unicodedata import normalize

from actors.adapters.host_names import ascii_name
from domain.errors import InvalidInput


def person_of(address: str) -> str:
    """The text that stands for whoever has this address; equal for all spellings of the address.

    White space around it does not count. The local part is NFC, in lower case: `ß` stays `ß`. The domain is in ASCII by
    non-transitional UTS #46; one that has no such form is only in lower case. Dots and `+` make a difference: what they
    mean is up to the receiving server.
    """
    local, at, domain = normalize("NFC", address.strip()).rpartition("@")
    ascii_domain = ascii_name(domain)
    return local.lower() + at + (domain.lower() if ascii_domain is None else ascii_domain.rstrip("."))


def person_named(recipient: str) -> str:
    """`person_of` an address that a caller asks for.

    Raises:
        InvalidInput: it is blank, as the person of an erased message is.
    """
    if person := person_of(recipient):
        return person
    raise InvalidInput.at("/recipient", "must not be blank")

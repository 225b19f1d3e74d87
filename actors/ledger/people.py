"""People as the ledger finds them: one text for all spellings of an e-mail address."""

from __future__ import annotations

from typing import Final
from unicodedata import normalize

import idna

from domain.errors import InvalidInput

#: A label longer than this has no ASCII form (RFC 1035), and encoding it would take quadratic time.
_MAX_LABEL_CHARS: Final = 63


def person_of(address: str) -> str:
    """The text that stands for whoever has this address; equal for all spellings of the address.

    White space around it does not count. The local part is NFC, in lower case: `ß` stays `ß`. The domain is in ASCII by
    non-transitional UTS #46; one that has no such form is only in lower case. Dots and `+` make a difference: what they
    mean is up to the receiving server.
    """
    local, at, domain = normalize("NFC", address.strip()).rpartition("@")
    return local.lower() + at + _ascii_domain(domain)


def person_named(recipient: str) -> str:
    """`person_of` an address that a caller asks for.

    Raises:
        InvalidInput: it is blank, as the person of an erased message is.
    """
    if person := person_of(recipient):
        return person
    raise InvalidInput.at("/recipient", "must not be blank")


def _ascii_domain(domain: str) -> str:
    try:
        mapped = idna.uts46_remap(domain, std3_rules=False, transitional=False)
        labels = [_ascii_label(label) for label in mapped.rstrip(".").split(".")]
    except UnicodeError:
        return domain.lower()
    return ".".join(labels)


def _ascii_label(label: str) -> str:
    if label.isascii():
        return label
    if len(label) > _MAX_LABEL_CHARS:
        raise UnicodeError("a label is too long")
    # Not idna.encode(): it rejects names that exist, such as those with emoji.
    return f"xn--{label.encode('punycode').decode()}"

"""Search for one e-mail address in texts and mails, whatever their encodings.

A miss would keep a person's data, so the search decodes every part of a mail that may be encoded, without trusting the
mail's structure. It reads no archives and no pictures. The time is linear in the length of the text.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Final

from domain.mail_views import mail_views, plain_text
from domain.text_decodings import readings

_ACE: Final = "xn--"


class AddressSearch:
    """Search for all spellings of one address.

    It finds the address whatever its case and the form of its domain, also as part of a return path
    (`bounce+john=example.com@lists.example`). An address that only ends or begins with it is another one.
    """

    def __init__(self, person: str) -> None:
        """`person`: the local part in lower case, `@`, and the domain in ASCII (`actors.ledger.people.person_of`)."""
        local, at, domain = person.rpartition("@")
        self._local = plain_text(local if at else person)
        self._domains = [plain_text(each) for each in dict.fromkeys((domain, _unicode_domain(domain)))] if at else [""]
        self._is_ascii = all(text.isascii() for text in (self._local, *self._domains))

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        domain = rf"(?:{'|'.join(map(re.escape, self._domains))})"
        local = re.escape(self._local)
        end = r"(?![a-z0-9-])(?!\.[a-z0-9])"
        if self._domains == [""]:
            return re.compile(rf"(?<![a-z0-9.+_-]){local}{end}")
        forms = (
            rf'(?<![a-z0-9.+_-]){local}"?[@%]{domain}{end}',
            rf"(?<![a-z0-9._]){local}={domain}{end}",  # VERP
            rf"={domain}={local}@",  # Sender Rewriting Scheme
        )
        return re.compile("|".join(forms))

    def is_in(self, text: str) -> bool:
        """Whether a text has the address, as it is or as a URL, an HTML page or a header field would encode it."""
        return any(self._is_plainly_in(reading) for reading in readings(text))

    def is_in_mail(self, text: str) -> bool:
        """Whether any part of a mail has the address. `text`: its source, decoded as UTF-8 or as Latin-1."""
        return any(self._is_plainly_in(view) for view in mail_views(text, is_ascii=self._is_ascii))

    def _is_plainly_in(self, text: str) -> bool:
        plain = plain_text(text)
        # Most texts do not have the local part; looking for it is much faster than the pattern.
        return self._local in plain and self._pattern.search(plain) is not None


def _unicode_domain(domain: str) -> str:
    return ".".join(_unicode_label(label) for label in domain.split("."))


def _unicode_label(label: str) -> str:
    if not label.startswith(_ACE):
        return label
    try:
        return label.removeprefix(_ACE).encode("ascii").decode("punycode")
    except UnicodeError:
        return label

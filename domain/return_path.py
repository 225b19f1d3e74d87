"""Signed tokens of return-path addresses, `b-<token>@<return domain>`, which are envelope ids, too.

A token is 32 characters of base32 (RFC 4648) in lower case, because mail servers may change the case of a local part:

    key id          1 byte: of the installation key
    account number  3 bytes big-endian
    message key     8 bytes big-endian
    tag             8 bytes: keyed BLAKE2s of the above, personalised `return`
"""

from __future__ import annotations

import re
from base64 import b32decode, b32encode
from hashlib import blake2s
from hmac import compare_digest
from typing import Final, NamedTuple, Self

from domain.errors import InvalidToken, Unavailable, UnknownKey
from domain.key_set import KeySet

#: Never change these: sent mail contains the tokens.
PREFIX: Final = "b-"
_PERSON: Final = b"return"
_TAG_BYTES: Final = 8
_ACCOUNT_BYTES: Final = 3
_KEY_BYTES: Final = 8
#: ASCII, because other letters, such as the Kelvin sign, match without regard to case, too.
_TOKEN: Final = re.compile(r"[a-z2-7]{32}", re.IGNORECASE | re.ASCII)
#: BATV's tagged address, `prvs=1234567890=local-part`, which some servers put in front.
_BATV: Final = re.compile(r"prvs=[0-9a-f]{10}=|btv1==[^=]*==", re.IGNORECASE)


class ReturnPath(NamedTuple):
    """The content of a genuine token."""

    account_no: int
    message_key: int


class ReturnPathTokens:
    """Creates tokens with one key of a set, and reads those of all of them."""

    def __init__(self, keys: KeySet) -> None:
        """`keys` are 1 to 32 bytes, from `KeySet.derived`."""
        self.use(keys)

    @classmethod
    def of_installation(cls, keys: KeySet) -> Self:
        """The tokens of an installation. Never change the purpose: addresses in sent e-mails depend on it."""
        return cls(return_path_keys(keys))

    def use(self, keys: KeySet) -> None:
        """Replaces the keys, after a rotation."""
        if not all(keys.keys.values()):
            raise ValueError("the key of return-path tokens must not be empty")
        tags = {key_id: blake2s(digest_size=_TAG_BYTES, key=key, person=_PERSON) for key_id, key in keys.keys.items()}
        self._tags, self._signing = tags, keys.signing

    def make(self, account_no: int, message_key: int) -> str:
        """The token of a message.

        Raises:
            OverflowError: the account number is above 2^24 - 1, the key above 2^64 - 1, or one of them is negative.
            Unavailable: the installation's keys are not known yet.
        """
        if self._signing not in self._tags:
            raise Unavailable("the installation's keys are not known yet; try again shortly")
        account = account_no.to_bytes(_ACCOUNT_BYTES, "big")
        payload = bytes([self._signing]) + account + message_key.to_bytes(_KEY_BYTES, "big")
        return b32encode(payload + self._tag_of(payload)).decode().lower()

    def address(self, account_no: int, message_key: int, domain: str) -> str:
        """The return-path address of a message."""
        return f"{PREFIX}{self.make(account_no, message_key)}@{domain}"

    def read(self, text: str) -> ReturnPath:
        """The content of a token, in any case. Accepts any text.

        Raises:
            UnknownKey: it names a key that is not in the set.
            InvalidToken: it is forged, truncated or altered.
        """
        if not _TOKEN.fullmatch(text):
            raise InvalidToken("not a return-path token")
        data = b32decode(text.upper())
        payload = data[:-_TAG_BYTES]
        if payload[0] not in self._tags:
            raise UnknownKey("the return-path token was made with a key that is not known here")
        if not compare_digest(self._tag_of(payload), data[-_TAG_BYTES:]):
            raise InvalidToken("the return-path token was not made here, or was changed")
        account, key = payload[1 : 1 + _ACCOUNT_BYTES], payload[1 + _ACCOUNT_BYTES :]
        return ReturnPath(int.from_bytes(account, "big"), int.from_bytes(key, "big"))

    def read_address(self, address: str) -> ReturnPath:
        """The content of the token in an address or local part, also behind a BATV prefix.

        Raises:
            InvalidToken: there is no genuine token.
        """
        local = _BATV.sub("", address.strip().removeprefix("<").partition("@")[0], count=1)
        if local[: len(PREFIX)].lower() != PREFIX:
            raise InvalidToken("not a return-path address")
        return self.read(local[len(PREFIX) :])

    def _tag_of(self, payload: bytes) -> bytes:
        tag = self._tags[payload[0]].copy()
        tag.update(payload)
        return tag.digest()


def return_path_keys(keys: KeySet) -> KeySet:
    """The keys of return-path tokens, from those of the installation."""
    return keys.derived("return-path-tokens")

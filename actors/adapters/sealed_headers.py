"""Sealed headers of a loop: encrypted, because their values are passwords and keys of handlers."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from domain.errors import UnknownKey
from domain.header_rules import escaped
from domain.key_set import KeySet
from domain.loop_settings import MASK, SETTINGS
from domain.validation import Problems

_NONCE_BYTES: Final = 12


class HeaderSealer:
    """Seals the headers of one loop with AES-256-GCM. A sealed value only opens for the same loop and name.

    It begins with the id of the installation key.
    """

    def __init__(self, loop_keys: KeySet, loop_id: str) -> None:
        """`loop_keys`: the loop's own (`domain.signing.loop_keys`)."""
        keys = loop_keys.derived("headers")
        self._signing = keys.signing
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.keys.items()}
        self._loop_id = loop_id

    def opened(self, sealed: Mapping[str, str]) -> list[tuple[str, str]]:
        """Names and values, without those that were sealed with a dropped key.

        Raises:
            cryptography.exceptions.InvalidTag: they were sealed with another key, or for another loop.
        """
        opened = ((name, self._open_if_known(name, text)) for name, text in sealed.items())
        return [(name, value) for name, value in opened if value is not None]

    def resealed(self, sealed: Mapping[str, str], random_bytes: Callable[[int], bytes]) -> dict[str, str]:
        """The same headers, sealed with the key that signs now. Those of dropped keys stay as they are."""
        result = dict(sealed)
        for name, text in sealed.items():
            if not text.startswith(f"{self._signing}:"):
                with suppress(UnknownKey):
                    result[name] = self._seal(name, self._open(name, text), random_bytes(_NONCE_BYTES))
        return result

    def sealed(
        self,
        sent: Mapping[str, str],
        stored: Mapping[str, str],
        random_bytes: Callable[[int], bytes],
        *,
        may_keep: bool = True,
    ) -> dict[str, str]:
        """The headers that an owner sent, sealed. The value `***` keeps the stored one; so does an equal value.

        `may_keep`: whether stored values may be kept. They must not reach another host.

        Raises:
            InvalidInput: with every name or value that is refused.
        """
        problems = Problems()
        for pointer, problem in SETTINGS["headers"].type.problems("/headers", sent):
            problems.add(pointer, problem)
        problems.raise_if_any()
        known = {name.lower(): text for name, text in stored.items()}
        result = {}
        for name, value in sent.items():
            text = known.get(name.lower())
            if value == MASK and (text is None or not may_keep):
                reason = "the `url` is on another host" if text else "there is no stored value to keep"
                problems.add(f"/headers/{escaped(name)}", f"must be the value itself: {reason}")
            elif text is not None and (value == MASK or value == self._open_if_known(name, text)):
                result[name] = text
            else:
                result[name] = self._seal(name, value, random_bytes(_NONCE_BYTES))
        problems.raise_if_any()
        return result

    def _seal(self, name: str, value: str, nonce: bytes) -> str:
        if self._signing not in self._ciphers:
            raise UnknownKey("the installation's keys are not known yet")
        raw = nonce + self._ciphers[self._signing].encrypt(nonce, value.encode(), self._context(name))
        return f"{self._signing}:{b64encode(raw).decode()}"

    def _open(self, name: str, text: str) -> str:
        key_id, _, sealed = text.partition(":")
        cipher = self._ciphers.get(int(key_id))
        if cipher is None:
            raise UnknownKey(f"the header {name} was sealed with installation key {key_id}, which was dropped")
        raw = b64decode(sealed)
        return cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], self._context(name)).decode()

    def _open_if_known(self, name: str, text: str) -> str | None:
        try:
            return self._open(name, text)
        except UnknownKey:
            return None

    def _context(self, name: str) -> bytes:
        return f"{self._loop_id}/{name.lower()}".encode()

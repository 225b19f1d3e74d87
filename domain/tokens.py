"""Signed tokens of tracking URLs. They contain all that a hit needs, so that nothing has to be looked up (I2).

A token is base64url without padding of

    header          1 byte: bits 7 and 6: version 1; bits 5 to 2: id of the installation key; bit 1: the target is
                    deflated; bit 0: the message key is fixed
    key id          1 byte, only if the id is above 14: the header then has 15
    account number  varint (LEB128)
    message key     varint, or 8 bytes big-endian if that is shorter
    target          the rest: the URL as UTF-8, or its raw deflate with a preset dictionary if that is shorter
    tag             10 bytes: keyed BLAKE2s of all of the above, personalised by the kind

A token has one spelling: padding, other alphabets and stray bits in the last character are refused.
"""

from __future__ import annotations

import zlib
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from hashlib import blake2s
from hmac import compare_digest
from typing import Final, NamedTuple, Self

from domain.errors import InvalidInput, InvalidToken, Unavailable, UnknownKey
from domain.key_set import KeySet

#: UTF-8 bytes. Longer URLs are refused when a link is created, and no token unpacks to more.
MAX_TARGET_BYTES: Final = 8192
#: Longer texts are refused at once: the largest payload with its tag, in base64.
MAX_TOKEN_CHARS: Final = 11_000
MAX_NUMBER: Final = 2**63 - 1

_VERSION: Final = 0x40
_VERSION_BITS: Final = 0xC0
_KEY_ID_SHIFT: Final = 2
#: In the header, it says that the key id is in the next byte.
_LONG_KEY_ID: Final = 15
_KEY_IS_FIXED: Final = 0x01
_TARGET_IS_DEFLATED: Final = 0x02
_KEY_BYTES: Final = 8
_TAG_BYTES: Final = 10
_MIN_BYTES: Final = 1 + 1 + 1 + _TAG_BYTES
#: BLAKE2s accepts 8 bytes of personalisation, hence the short names. Never change them: sent mail contains them.
_PERSONS: Final = {"open": b"open", "click": b"click", "unsubscribe": b"unsub"}
_RAW_DEFLATE: Final = -15
#: Parts of URLs, the most frequent last. Never change it, because sent mail depends on it: add a version instead.
_DICTIONARY: Final = (
    b".aspx.php.html?q=&page=&lang=en&token=&hash=&user=&email=&ref=&uid=&cid=&mid=&id="
    b"/images/account/login/article/articles/blog/shop/product/products/category/news/newsletter/unsubscribe/index"
    b"&gclid=&fbclid=&mc_cid=&mc_eid=&utm_id=&utm_term=&utm_content=&utm_campaign=newsletter&utm_medium=email"
    b"?utm_source=newsletter&utm_medium=email&utm_campaign=.co.uk/.io/.eu/.fr/.de/.nl/.org/.net/.com/"
    b"http://www.https://https://www."
)
_TO_URL: Final = bytes.maketrans(b"+/", b"-_")
_FROM_URL: Final = bytes.maketrans(b"-_", b"+/")


class TrackingToken(NamedTuple):
    """The content of a genuine token. `target` is empty, except for a click."""

    kind: str
    account_no: int
    message_key: int
    target: str


class TrackingTokens:
    """Creates tokens with one key of a set, and reads those of all of them."""

    def __init__(self, keys: KeySet) -> None:
        """`keys` are 1 to 32 bytes, from `KeySet.derived`."""
        self.use(keys)

    @classmethod
    def of_installation(cls, keys: KeySet) -> Self:
        """The tokens of an installation. Never change the purpose: links in sent e-mails depend on it."""
        return cls(tracking_keys(keys))

    def use(self, keys: KeySet) -> None:
        """Replaces the keys, after a rotation."""
        if not all(keys.keys.values()):
            raise ValueError("the key of tracking tokens must not be empty")
        tags = {
            kind: {key_id: blake2s(digest_size=_TAG_BYTES, key=key, person=person) for key_id, key in keys.keys.items()}
            for kind, person in _PERSONS.items()
        }
        self._tags, self._signing = tags, keys.signing

    def open(self, account_no: int, message_key: int) -> str:
        """The token of a message's pixel."""
        return self._make("open", account_no, message_key, "")

    def click(self, account_no: int, message_key: int, target: str) -> str:
        """The token of a link to `target`.

        Raises:
            InvalidInput: the target is longer than 8192 bytes, or not UTF-8.
        """
        return self._make("click", account_no, message_key, target)

    def unsubscribe(self, account_no: int, message_key: int) -> str:
        """The token of a one-click unsubscription (RFC 8058)."""
        return self._make("unsubscribe", account_no, message_key, "")

    def read(self, kind: str, token: str) -> TrackingToken:
        """The content of `token`, if it was created with this key for this kind of hit. Accepts any text.

        Raises:
            UnknownKey: it names a key that is not in the set.
            InvalidToken: it is forged, truncated or altered, or has another kind or key.
        """
        data = _decoded(token)
        keyed = self._tags.get(kind)
        if keyed is None or data is None:
            raise InvalidToken("not a tracking token")
        key_id = data[0] >> _KEY_ID_SHIFT & _LONG_KEY_ID
        tag = keyed.get(key_id if key_id != _LONG_KEY_ID else data[1])
        if tag is None:
            raise UnknownKey("the tracking token was made with a key that is not known here")
        payload = data[:-_TAG_BYTES]
        tag = tag.copy()
        tag.update(payload)
        if not compare_digest(tag.digest(), data[-_TAG_BYTES:]):
            raise InvalidToken("the tracking token was not made here, or was changed")
        try:
            return _unpack(kind, payload)
        except (IndexError, ValueError, zlib.error) as exc:
            raise InvalidToken("the tracking token is of a version that is not known here") from exc

    def _make(self, kind: str, account_no: int, message_key: int, target: str) -> str:
        key_id = self._signing
        keyed = self._tags[kind].get(key_id)
        if keyed is None:
            raise Unavailable("the installation's keys are not known yet; try again shortly")
        payload = _pack(key_id, account_no, message_key, target)
        tag = keyed.copy()
        tag.update(payload)
        return b2a_base64(payload + tag.digest(), newline=False).translate(_TO_URL).rstrip(b"=").decode()


def tracking_keys(keys: KeySet) -> KeySet:
    """The keys of tracking tokens, from those of the installation."""
    return keys.derived("tracking-tokens")


def _decoded(token: str) -> bytes | None:
    """The token's bytes; None if its format is wrong."""
    if len(token) > MAX_TOKEN_CHARS or not token.isascii():
        return None
    text = token.encode()
    try:
        data = a2b_base64(text.translate(_FROM_URL) + b"==="[: -len(text) % 4])
    except Base64Error:
        return None
    # The decoder skips invalid characters and drops stray bits, so only a text that encodes to itself is a token.
    canonical = b2a_base64(data, newline=False).translate(_TO_URL).rstrip(b"=")
    return data if canonical == text and len(data) >= _MIN_BYTES else None


def _pack(key_id: int, account_no: int, message_key: int, target: str) -> bytes:
    if not (0 <= account_no <= MAX_NUMBER and 0 <= message_key <= MAX_NUMBER):
        raise ValueError(f"account_no {account_no} and message_key {message_key} must be 0 to 2^63 - 1")
    flags, key = 0, _varint(message_key)
    if len(key) > _KEY_BYTES:
        flags, key = _KEY_IS_FIXED, message_key.to_bytes(_KEY_BYTES, "big")
    packed_target = raw_target = _target_bytes(target)
    deflated = _deflate(raw_target)
    if len(deflated) < len(raw_target):
        flags, packed_target = flags | _TARGET_IS_DEFLATED, deflated
    if key_id < _LONG_KEY_ID:
        header = bytes([_VERSION | key_id << _KEY_ID_SHIFT | flags])
    else:
        header = bytes([_VERSION | _LONG_KEY_ID << _KEY_ID_SHIFT | flags, key_id])
    return header + _varint(account_no) + key + packed_target


def _target_bytes(target: str) -> bytes:
    try:
        data = target.encode()
    except UnicodeEncodeError:
        problem = "holds half of a surrogate pair, which no URL can"
    else:
        if len(data) <= MAX_TARGET_BYTES:
            return data
        problem = f"is longer than {MAX_TARGET_BYTES} bytes"
    raise InvalidInput(f"link {problem}", [("/links", problem)])


def _deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, _RAW_DEFLATE, zdict=_DICTIONARY)
    return packer.compress(data) + packer.flush()


def _unpack(kind: str, payload: bytes) -> TrackingToken:
    header = payload[0]
    if header & _VERSION_BITS != _VERSION:
        raise ValueError(header)
    at = 2 if header >> _KEY_ID_SHIFT & _LONG_KEY_ID == _LONG_KEY_ID else 1
    account_no, at = _read_varint(payload, at)
    if header & _KEY_IS_FIXED:
        message_key = int.from_bytes(payload[at : at + _KEY_BYTES], "big")
        at += _KEY_BYTES
    else:
        message_key, at = _read_varint(payload, at)
    target = payload[at:]
    if header & _TARGET_IS_DEFLATED:
        target = zlib.decompressobj(_RAW_DEFLATE, zdict=_DICTIONARY).decompress(target, MAX_TARGET_BYTES)
    return TrackingToken(kind, account_no, message_key, target.decode())


def _varint(number: int) -> bytes:
    """LEB128: seven bits per byte, lowest first; the high bit means that more bytes follow."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while (byte := data[at]) > 0x7F:
        number |= (byte & 0x7F) << shift
        shift += 7
        at += 1
    return number | byte << shift, at + 1

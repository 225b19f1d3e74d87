"""Builder of the HTTP requests that handlers get. Source: the contract, section 5."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from typing import Final

import msgspec

from actors.delivery.lane_config import LaneConfig
from actors.ports import HttpRequest
from actors.version import USER_AGENT
from domain.payload import CONTENT_TYPES, encode_form, encode_json, form_bytes
from domain.signers import signers_of
from domain.values import PayloadFormat

#: The largest body. A returned mail of 512 KiB fits in nearly always.
MAX_BODY_BYTES: Final = 4 * 1024 * 1024
#: Fields this short never exceed `MAX_BODY_BYTES` as a form (worst case about 3/8·n²), so the size check is skipped.
_SMALL_BYTES: Final = 1024
_decode = msgspec.json.Decoder(dict[str, object]).decode


class EventTooLarge(Exception):
    """An event exceeds the size limit of a POST. The text is a sentence for people."""


class RequestBuilder:
    """Builds the requests of one loop. The parts that requests have in common are built once, or once a second."""

    def __init__(self, config: LaneConfig, timeout_s: float) -> None:
        self._url = config.url
        self._timeout_s = timeout_s
        self._is_form = config.settings.format == PayloadFormat.FORM
        self._static = [
            ("User-Agent", USER_AGENT),
            ("X-Feedback-Loop", config.loop_id),
            ("X-Account", config.account_id),
            ("Content-Type", CONTENT_TYPES[config.settings.format]),
            *config.headers,
        ]
        self._second = -1
        self._headers: list[tuple[str, str]] = []
        self._signers = signers_of(config.settings.signature, config.secrets)

    def build(self, event_id: bytes, fields: bytes, now_ms: int, mail: str | None = None) -> HttpRequest:
        """The POST of one event. `fields` is one JSON object, `now_ms` the time that the signature states.

        `mail` is the event's returned mail, which becomes the field `mime`, cut as far as needed.

        Raises:
            msgspec.DecodeError: `fields` is no JSON object.
            EventTooLarge: it would have more than `MAX_BODY_BYTES`.
        """
        if mail is not None:
            fields = _with_mail(fields, mail, is_form=self._is_form)
        body = _form(fields) if self._is_form else fields
        _check_length(len(body))
        if now_ms // 1000 != self._second:
            self._second = now_ms // 1000
            self._headers = [*self._static, ("Date", formatdate(self._second, usegmt=True))]
        event, headers = f"evt_{event_id.hex()}", self._headers.copy()
        for signer in self._signers:
            signer.sign("POST", self._url, headers, body, event, now_ms)
        return HttpRequest(self._url, headers, body, self._timeout_s)


def _with_mail(fields: bytes, mail: str, *, is_form: bool) -> bytes:
    """The fields with the mail in its place, cut so that the body is not too large."""
    own = _decode(fields)
    measure: Callable[[dict[str, object]], int] = form_bytes if is_form else (lambda each: len(encode_json(each)))
    room = MAX_BODY_BYTES - measure(own | {"mime": "", "mime_truncated": 1})
    kept = mail
    while kept and (size := measure({"mime": kept}) - measure({"mime": ""})) > room:
        kept = kept[: min(len(kept) - 1, max(len(kept) * room // size, 0))]
    if len(kept) < len(mail):
        own["mime_truncated"] = 1
    # In the order of the event catalogue.
    about = {name: own.pop(name) for name in ("mime_charset", "mime_truncated") if name in own}
    return encode_json(own | {"mime": kept} | about)


def _form(fields: bytes) -> bytes:
    decoded = _decode(fields)
    if len(fields) > _SMALL_BYTES:  # counting costs about as much as encoding
        _check_length(form_bytes(decoded))
    return encode_form(decoded)


def _check_length(length: int) -> None:
    if length > MAX_BODY_BYTES:
        raise EventTooLarge(f"the event is {length} bytes long in the loop's format; {MAX_BODY_BYTES} can be sent")

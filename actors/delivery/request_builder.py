"""What a handler gets: an event as an HTTP request. Source: the contract, section 5."""

from __future__ import annotations

from email.utils import formatdate
from typing import Final, NamedTuple

import msgspec

from actors.ports import HttpRequest
from actors.version import USER_AGENT
from domain.payload import CONTENT_TYPES, encode_form, form_bytes
from domain.signing import standard_webhooks_signature
from domain.values import PayloadFormat

#: What handlers, and the servers in front of them, take at most without being told to.
MAX_BODY_BYTES: Final = 1024 * 1024
#: Fields up to this length are no form beyond `MAX_BODY_BYTES`: the worst is about the square of it, by three eighths.
_SMALL_BYTES: Final = 1024
_decode = msgspec.json.Decoder(dict[str, object]).decode


class EventTooLarge(Exception):
    """An event is larger than any POST may be. The text is a sentence for people."""


class SigningSecret(NamedTuple):
    """A version of a loop's secret. `until_ms` (Unix time) is when it stops signing, None for the current one."""

    secret: bytes
    until_ms: int | None


class LaneConfig(NamedTuple):
    """How a loop wants its deliveries."""

    loop_id: str
    account_id: str
    url: str
    #: A `PayloadFormat`.
    format: str
    #: Newest first.
    secrets: tuple[SigningSecret, ...]
    #: POSTs under way at the same time.
    max_concurrency: int = 16
    #: POSTs a second, None for no limit.
    rate_limit: float | None = None
    #: One at a time, and none before the one before it is delivered or dead.
    ordered: bool = False


class RequestBuilder:
    """Makes the requests of one loop. What is the same for all of them, or for all of one second, is made once."""

    def __init__(self, config: LaneConfig, timeout_s: float) -> None:
        self._config = config
        self._timeout_s = timeout_s
        self._is_form = config.format == PayloadFormat.FORM
        self._static = [
            ("User-Agent", USER_AGENT),
            ("X-Feedback-Loop", config.loop_id),
            ("X-Account", config.account_id),
            ("Content-Type", CONTENT_TYPES[config.format]),
        ]
        self._second = -1
        self._headers: list[tuple[str, str]] = []
        self._secrets: list[bytes] = []

    def request(self, event_id: bytes, fields: bytes, now_ms: int) -> HttpRequest:
        """The POST of one event. `fields` is one JSON object, `now_ms` the time that the signature states.

        Raises:
            msgspec.DecodeError: `fields` is no JSON object.
            EventTooLarge: it would have more than `MAX_BODY_BYTES`.
        """
        body = _form(fields) if self._is_form else fields
        _check_length(len(body))
        second = now_ms // 1000
        if second != self._second:
            self._begin_second(second, now_ms)
        event = f"evt_{event_id.hex()}"
        headers = [
            *self._headers,
            ("webhook-id", event),
            ("webhook-signature", standard_webhooks_signature(self._secrets, event, second, body)),
        ]
        return HttpRequest(self._config.url, headers, body, self._timeout_s)

    def _begin_second(self, second: int, now_ms: int) -> None:
        self._second = second
        date = formatdate(second, usegmt=True)
        self._headers = [*self._static, ("Date", date), ("webhook-timestamp", str(second))]
        self._secrets = [s for s, until_ms in self._config.secrets if until_ms is None or now_ms < until_ms]


def _form(fields: bytes) -> bytes:
    decoded = _decode(fields)
    if len(fields) > _SMALL_BYTES:  # counting costs about as much as encoding
        _check_length(form_bytes(decoded))
    return encode_form(decoded)


def _check_length(length: int) -> None:
    if length > MAX_BODY_BYTES:
        raise EventTooLarge(f"the event is {length} bytes long in the loop's format; {MAX_BODY_BYTES} can be sent")

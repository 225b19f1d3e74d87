"""Sample events for testing a handler: what a real one of each trigger looks like. Source: the contract, section 5."""

from __future__ import annotations

import json
from typing import Any, Final

from domain.custom_fields import json_problem
from domain.enrichment import time_fields
from domain.errors import InvalidInput
from domain.values import Trigger

_RECIPIENT: Final = "john.doe@example.com"
_MESSAGE: Final[dict[str, Any]] = {
    "id": "sample-message",
    "recipient": _RECIPIENT,
    "tags": ["sample", "newsletter"],
    "mailing": "sample-mailing",
}
_PROFILE: Final[dict[str, Any]] = {
    "database": "1",
    "profile": "123",
    "fields": {"firstname": "John", "lastname": "Doe", "email": _RECIPIENT},
    "interests": ["sailing", "music"],
}
_REQUEST: Final[dict[str, Any]] = {
    "ip": "203.0.113.7",
    "useragent": "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "referer": "https://mail.example.com/",
}
_CHANGE: Final[dict[str, Any]] = {
    "database": "1",
    "profile": "123",
    "created": "2026-01-01 12:00:00",
    "modified": "2026-01-02 12:00:00",
    "parameters": {"firstname": "John"},
    "fields": _PROFILE["fields"],
    "interests": _PROFILE["interests"],
}
_MIME: Final = (
    f"From: sender@example.com\r\nTo: {_RECIPIENT}\r\nSubject: Sample\r\nMessage-ID: <sample@example.com>\r\n\r\n"
    "This is a sample.\r\n"
)

_FIELDS: Final[dict[Trigger, dict[str, Any]]] = {
    Trigger.OPEN: _MESSAGE | _REQUEST | {"first": 1} | _PROFILE,
    Trigger.CLICK: _MESSAGE | _REQUEST | {"original": "https://example.com/offer?id=1", "first": 1} | _PROFILE,
    Trigger.UNSUBSCRIBE: _MESSAGE | _REQUEST | _PROFILE,
    Trigger.DELIVERY: _MESSAGE
    | _PROFILE
    | {"code": "250", "extended": "2.0.0", "description": "2.0.0 Ok: queued as 4F1A2B3C4D"},
    Trigger.FAILURE: _MESSAGE
    | _PROFILE
    | {
        "action": "failed",
        "state": "rcptto",
        "code": "550",
        "extended": "5.1.1",
        "description": f"5.1.1 <{_RECIPIENT}>: Recipient address rejected: User unknown",
    },
    Trigger.BOUNCE: _MESSAGE | _PROFILE | {"envelope": "bounces@example.com", "mime": _MIME},
    Trigger.ABUSE: _MESSAGE
    | _PROFILE
    | {"envelope": "abuse@example.com", "emailfrom": "feedback@provider.example", "mime": _MIME},
    Trigger.CREATE: _CHANGE,
    Trigger.UPDATE: _CHANGE,
    Trigger.DELETE: {name: value for name, value in _CHANGE.items() if name != "parameters"},
}


def sample_fields(trigger: Trigger, event_id: bytes, time_ms: int, data: dict[str, Any]) -> dict[str, Any]:
    """The fields of a sample. Those of `data` come in place of its own, but for `event` and `type`, which are true.

    Raises:
        InvalidInput: `data` holds what no profile may hold, or more of it.
    """
    if problem := _data_problem(data):
        raise InvalidInput(f"data {problem}", [("/data", problem)])
    begin = time_fields(event_id, trigger, time_ms)
    return begin | _FIELDS[trigger] | data | {"event": begin["event"], "type": begin["type"]}


def _data_problem(data: dict[str, Any]) -> str | None:
    try:
        text = json.dumps(data, ensure_ascii=False)
    except (TypeError, ValueError) as exc:
        return f"is not JSON: {exc}"
    except RecursionError:
        return "is nested too deep"
    return json_problem(text)

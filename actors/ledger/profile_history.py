"""Former data of profiles in the event log: stored states, and how they lose their data."""

from __future__ import annotations

from typing import Any, Final

import msgspec

_NO_DATA: Final = {"fields_json": "{}", "interests": []}
_decode: Final = msgspec.json.Decoder(dict[str, Any]).decode
_encode: Final = msgspec.json.Encoder().encode


def without_data(state: bytes) -> bytes:
    """The stored state of an event of a profile without fields and interests. What happened, and when, stays."""
    event = _decode(state)
    return _encode(event | {name: empty for name, empty in _NO_DATA.items() if name in event})

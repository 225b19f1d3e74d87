"""Enrichment of a hit: the fields of its event, and whether it may be a first.

Source: the contract, section 5, for names, meaning and order of the fields.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Final

from domain.aggregate import instant
from domain.event_catalogue.triggers import Trigger
from domain.tracking import MessageFacts, ProfileFacts, TrackingHit
from domain.values import id_text

OPEN_KEY: Final = 0
_63_BITS: Final = 2**63 - 1


def first_key(type: str, target: str) -> int | None:  # noqa: A002 - the contract's name
    """The number under which the first event of its kind is recorded for a message; None for other triggers.

    Opens have one number. Each link has its own, a hash of the URL from 1 to 2^63 - 1.
    """
    if type == Trigger.OPEN:
        return OPEN_KEY
    if type != Trigger.CLICK:
        return None
    digest = blake2b(target.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    # 0 is for opens.
    return (int.from_bytes(digest, "big") & _63_BITS) or 1


def event_fields(
    hit: TrackingHit,
    message: MessageFacts,
    profile: ProfileFacts | None,
    first: bool,
    bot: str | None,
) -> dict[str, object]:
    """The fields of the POST for a hit, without unknown values.

    `bot` is the result of `domain.bots.bot_reason`. Unsubscriptions have neither bot fields nor `first`.
    """
    fields = message_fields(hit.event_id, hit.kind, hit.time_ms, message)
    fields |= {k: v for k, v in (("ip", hit.ip), ("useragent", hit.useragent), ("referer", hit.referer)) if v}
    if hit.kind == Trigger.CLICK:
        fields["original"] = hit.target
    if hit.kind != Trigger.UNSUBSCRIBE:
        if bot is not None:
            fields |= {"bot": 1, "bot_reason": bot}
        if first:
            fields["first"] = 1
    return fields | profile_fields(message, profile)


def message_fields(event_id: bytes, type: str, time_ms: int, message: MessageFacts) -> dict[str, object]:  # noqa: A002
    """The first fields of every event of a message."""
    fields: dict[str, object] = {"id": message.id, "message": message.id} | time_fields(event_id, type, time_ms)
    fields["recipient"] = message.recipient
    fields["tags"] = message.tags
    if message.mailing is not None:
        fields["mailing"] = message.mailing
    return fields


def time_fields(event_id: bytes, type: str, time_ms: int) -> dict[str, object]:  # noqa: A002
    """The fields of every event: id, type and time."""
    return {
        "event": id_text("evt", event_id),
        "type": type,
        "timestamp": instant(time_ms).strftime("%Y-%m-%d %H:%M:%S"),
        "time": time_ms // 1000,
    }


def profile_fields(message: MessageFacts, profile: ProfileFacts | None) -> dict[str, object]:
    """The fields about a message's profile: its name, and its current data if it exists."""
    if message.database is None:
        return {}
    fields: dict[str, object] = {"database": message.database, "profile": message.profile}
    if profile is not None:
        fields |= {"fields": profile.fields, "interests": profile.interests}
    return fields

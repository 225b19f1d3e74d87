"""The events that the ledger stores for a tracking hit or a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar
from uuid import UUID

from eventsourcing.utils import register_topic


@dataclass(frozen=True)
class TrackingEventRecorded:
    """An enriched event. It belongs to no aggregate: its event id is its originator id, its version is always 1.

    Its stored state is exactly the JSON object of its attributes without originator id and version:
    `{"account_no": int, "type": str, "message_key": int, "time_ms": int, "fields": str}`. Bulk writers can therefore
    encode it with any JSON encoder, without building this object; the ledger's mapper can read it.
    """

    TOPIC: ClassVar[str] = "tracking-event.recorded"

    originator_id: UUID
    originator_version: int
    account_no: int
    #: A trigger's name.
    type: str
    #: 0 if the event does not concern a message.
    message_key: int
    #: Unix time, milliseconds.
    time_ms: int
    #: The POST's fields without `mime`: the text of one JSON object.
    fields: str


@dataclass(frozen=True)
class ReturnedMailKept:
    """The text of the returned mail of a tracking event, whose originator id it shares; its version is always 2.

    A row of its own, so that reading the event does not read up to 512 KiB of mail. Its state is `{"mime": str}`.
    """

    TOPIC: ClassVar[str] = "tracking-event.mail-kept"

    originator_id: UUID
    originator_version: int
    #: The POST's field `mime`.
    mime: str


register_topic(TrackingEventRecorded.TOPIC, TrackingEventRecorded)
register_topic(ReturnedMailKept.TOPIC, ReturnedMailKept)

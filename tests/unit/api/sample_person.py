"""A person about whom one record of each kind is kept."""

from __future__ import annotations

from msgspec import Raw

from actors.commands.deliveries import AttemptView, DeliveryView, EventDelivery
from actors.commands.events import EventView
from actors.commands.messages import MessageView
from actors.commands.profiles import Profile
from actors.commands.recipients import ExportedMail, ExportedRecord, ProfileVersion
from actors.commands.reports import ReportView
from domain.profile_change import ProfileKey

EMAIL = "john+a/b@example.com"
NOW_MS = 1_770_000_000_000
_KEY = ProfileKey("1", "123")
_SUBPROFILE = ProfileKey("1", "123", "orders", "7")
EVENT = "evt_" + "1" * 32


def records() -> list[ExportedRecord]:
    """One record of each kind."""
    message = MessageView(
        key=1,
        account_no=1,
        id="m-1",
        recipient=EMAIL,
        tags=["spring"],
        mailing=None,
        database="1",
        profile="123",
        links=["https://shop.example/?who=john"],
        created_at_ms=NOW_MS,
        history=[],
        reference="ref@mail.example",
    )
    attempt = AttemptView(
        no=1, at_ms=NOW_MS, duration_ms=5, status=500, error="status", response_excerpt=EMAIL, address="192.0.2.1"
    )
    delivery = DeliveryView(
        id="dlv_1",
        event=EVENT,
        type="click",
        state="dead",
        created_at_ms=NOW_MS,
        next_attempt_at_ms=None,
        attempts=[attempt],
    )
    fields = Raw(b'{"city":"Delft"}')

    def profile(key: ProfileKey) -> Profile:
        return Profile(key=key, fields=fields, interests=[], created_at_ms=NOW_MS, modified_at_ms=NOW_MS)

    def version(key: ProfileKey) -> ProfileVersion:
        return ProfileVersion(key=key, change="created", at_ms=NOW_MS, fields=fields, interests=["golf"])

    return [
        ExportedRecord(erasure="ers_1"),
        ExportedRecord(opted_out_at_ms=NOW_MS),
        ExportedRecord(message=message),
        ExportedRecord(event=EventView(id=EVENT, type="click", time_ms=NOW_MS, fields=Raw(b'{"ip":"192.0.2.7"}'))),
        ExportedRecord(mail=ExportedMail(event=EVENT, mime="To: john\r\n")),
        ExportedRecord(delivery=EventDelivery(loop_id="fl_1", delivery=delivery)),
        ExportedRecord(profile=profile(_KEY)),
        ExportedRecord(profile=profile(_SUBPROFILE)),
        ExportedRecord(version=version(_KEY)),
        ExportedRecord(version=version(_SUBPROFILE)),
        ExportedRecord(
            report=ReportView(
                id="rep_" + "2" * 32, state="unmatched", source="mail", kind="other", arrived_at_ms=NOW_MS
            )
        ),
    ]

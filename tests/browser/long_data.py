"""A fake account whose every text has the greatest length that the service accepts, mostly without a space."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from actors.commands.accounts import IssueApiKey
from actors.commands.deliveries import AttemptView, DeliveryView
from actors.commands.events import EventView
from actors.commands.loops import CreateLoop, Loop, SampleResult
from actors.commands.messages import MessageSpec, RegisterMessages
from actors.commands.reports import ReportView
from actors.commands.users import CreateUser
from api.dashboard.labels import REPORT_STATES
from domain.event_catalogue.triggers import EVENT_TYPES
from domain.loop_settings import LoopSettings
from domain.message import MAX_LINK_BYTES
from domain.validation import MAX_NAME_CHARS, MAX_TAG_CHARS
from domain.values import MAX_URL_CHARS, id_text
from tests.unit.api.dashboard.fake_dashboard import PASSWORD, FakeDashboard
from tests.unit.api.fake_api import NOW_MS

TRIGGERS: Final = tuple(EVENT_TYPES)
EMAIL: Final = f"{'long' * 16}@{'sub' * 20}.{'domain' * 10}.{'example' * 8}.{'museum' * 8}"
NAME: Final = "n" * MAX_NAME_CHARS
TAGS: Final = [f"{n:02}{'t' * (MAX_TAG_CHARS - 2)}" for n in range(50)]
MESSAGE_ID: Final = "M" * MAX_NAME_CHARS
URL: Final = f"https://{'sub' * 20}.{'host' * 15}.example/{'path' * 1000}"[:MAX_URL_CHARS]
LINK: Final = f"https://shop.example/?{'q' * 9000}"[:MAX_LINK_BYTES]
USER_AGENT: Final = f"Mozilla/5.0 ({'X' * 900}; compatible) {'Product/1.0 ' * 80}{'y' * 900}"
REASON: Final = f"The handler answered 410 with {'z' * 300}"
IPV6: Final = "2001:0db8:85a3:0000:0000:8a2e:0370:7334"
#: The header is longer than a page shows, without a space.
MAIL: Final = f"Subject: {'s' * 5000}\r\nX-{'h' * 20_000}: 1"
#: Larger than any count, so that every column of numbers is as wide as it gets.
MANY: Final = 9_876_543_210


def fill_with_long_data(dashboard: FakeDashboard) -> Loop:
    """Adds a loop, deliveries, events, a message, keys and users with long texts. Returns the loop."""
    client, account = dashboard.api.client, dashboard.account
    for loop_id, _ in list(client.loops.items()):
        client.backlogs[loop_id] = MANY
    settings = LoopSettings(
        triggers=TRIGGERS,
        tags=tuple(TAGS[:9]),
        databases=(NAME,),
        collections=(NAME,),
        description="D" * 2000,
    )
    loop = client._create_loop(CreateLoop(account=account, url=URL, settings=settings))
    client.proved.add(loop.id)
    client.loops[loop.id][1].verify(URL, NOW_MS)
    client.loops[loop.id][1].disable(REASON, NOW_MS)
    client.backlogs[loop.id] = MANY
    unverified = client._create_loop(CreateLoop(account=account, url=URL, settings=settings))
    client.samples[dashboard.loop.id] = SampleResult(
        loop_id=dashboard.loop.id,
        status=500,
        duration_ms=123_456,
        response_excerpt="r" * 1024,
        error="status: " + REASON,
    )
    client.events[:0] = [_event(n, trigger) for n, trigger in enumerate(TRIGGERS)]
    client.mails = {event.id: MAIL for event in client.events}
    dashboard.event_id = client.events[0].id
    client.reports[:0] = [
        ReportView(
            id=id_text("rep", (n + 77).to_bytes(16, "big")),
            state=state,
            source="mail",
            kind="auth-failure",
            arrived_at_ms=NOW_MS,
            events=[event.id for event in client.events[: len(TRIGGERS)]],
            is_truncated=True,
            first_id=id_text("rep", bytes(16)),
        )
        for n, state in enumerate(REPORT_STATES)
    ]
    dashboard.report_id = client.reports[0].id
    client.deliveries[loop.id] = [
        _delivery(dashboard, n, trigger, state)
        for n, (trigger, state) in enumerate(zip(TRIGGERS, _STATES * 4, strict=False))
    ]
    client.deliveries[dashboard.loop.id][:0] = [_delivery(dashboard, 77, "unsubscribe", "dead")]
    dashboard.delivery_id = client.deliveries[dashboard.loop.id][0].id
    spec = MessageSpec(
        recipient=EMAIL,
        id=MESSAGE_ID,
        tags=TAGS,
        mailing=NAME,
        database=NAME,
        profile=NAME,
        reference=f"<{'r' * 990}@shop.example>"[:1000],
        links=[LINK, URL, *(f"https://shop.example/{n}" for n in range(3))],
    )
    (result,) = client._register_messages(RegisterMessages(account=account, messages=[spec]))
    assert result.message is not None, result
    user = client._create_user(CreateUser(email=EMAIL, password=PASSWORD, account_id=account.id))
    dashboard.other_user = user
    dashboard.key = client._issue_api_key(IssueApiKey(account=account, name=NAME, key_hash="ab" * 32))
    client.problems = [f"the ledger is away: {'p' * 300}"]
    dashboard.unverified = unverified
    return loop


_STATES: Final = ("pending", "delivered", "dead")


def _event(number: int, trigger: str) -> EventView:
    fields: dict[str, Any] = {
        "type": trigger,
        "recipient": EMAIL,
        "id": MESSAGE_ID,
        "message": MESSAGE_ID,
        "tags": TAGS,
        "mailing": NAME,
        "ip": IPV6,
        "useragent": USER_AGENT,
        "referer": LINK,
        "original": LINK,
        "bot": 1,
        "bot_reason": f"scanner:{'b' * 90}",
        "database": NAME,
        "profile": NAME,
        "fields": {NAME: "v" * 900},
        "code": "550",
        "extended": "5.123.456",
        "description": f"5.1.1 {'d' * 3990}",
        "category": "mailbox-full",
        "permanent": 1,
        "action": "failed",
        "state": "connect",
        "envelope": EMAIL,
        "emailfrom": EMAIL,
        "mime_charset": "iso-8859-1",
        "mime_truncated": 1,
        "parameters": {NAME: "p" * 900, "short": None},
        "changed": [NAME, "short"],
        "interests": [NAME[:-1] + "i"],
        "collection": NAME,
        "subprofile": NAME,
    }
    return EventView(
        id=id_text("evt", (number + 77).to_bytes(16, "big")),
        type=trigger,
        time_ms=1_767_225_600_000 + number,
        fields=msgspec.Raw(msgspec.json.encode(fields)),
    )


def _delivery(dashboard: FakeDashboard, number: int, trigger: str, state: str) -> DeliveryView:
    attempt = AttemptView(
        no=MANY,
        at_ms=NOW_MS,
        duration_ms=123_456,
        status=None if number % 2 else 500,
        error="disconnect" if number % 2 else "status",
        response_excerpt="e" * 1024,
        response_headers="H" * 900 + ": " + "v" * 900,
        address=IPV6,
    )
    return DeliveryView(
        id=f"dlv_{9_000_000_000_000_000_000 + number}",
        event=dashboard.event_id,
        type=trigger,
        state=state,
        created_at_ms=NOW_MS,
        next_attempt_at_ms=NOW_MS if state == "pending" else None,
        attempts=[attempt],
    )

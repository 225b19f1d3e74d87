"""The log of events, and its live end."""

from __future__ import annotations

import re
from typing import Final

from actors.commands.events import ListEvents
from api.events.sse import EVENT_STREAM, event_stream
from api.events.tail import EventTail
from api.http.operation import Answer, Call, Header, Operation
from api.http.problems import MALFORMED, Refused
from api.http.response import Reply
from api.schemas.base import EmptyBody
from api.schemas.messages import EventList, EventQuery, StreamQuery
from api.schemas.views import event_view

TAG: Final = "Events"
_EVENT_ID: Final = "evt_[0-9a-f]{32}"
#: Tells nginx not to hold the stream back.
_UNBUFFERED: Final = ("X-Accel-Buffering", "no")


async def list_events(call: Call[EmptyBody, EventQuery]) -> Reply:
    """One page of the account's events, newest first."""
    query = call.query
    command = ListEvents(
        account=call.account,
        type=query.type,
        message_id=query.message,
        recipient=query.recipient,
        since_ms=query.since,
        until_ms=query.until,
        limit=query.limit,
        cursor=query.cursor,
    )
    page = await call.services.client.call(command)
    return Reply.of(EventList(data=[event_view(event) for event in page.data], next=page.next))


async def stream_events(call: Call[EmptyBody, StreamQuery]) -> Reply:
    """The account's events from now on, or from the event that the client had last."""
    last_id = call.headers.get("last-event-id") or None
    if last_id is not None and not re.fullmatch(_EVENT_ID, last_id):
        raise Refused(MALFORMED, "Last-Event-ID is not the id of an event; send one that the stream gave, or none")
    call.services.streams.check(call.account.no)
    query = call.query
    wanted = ListEvents(account=call.account, type=query.type, message_id=query.message, recipient=query.recipient)
    tail = EventTail(call.services.client, wanted)
    await tail.begin(last_id)
    stream = event_stream(tail, call.services.streams.counted(call.account.no))
    return Reply(content_type=EVENT_STREAM, headers=(_UNBUFFERED,), stream=stream)


OPERATIONS: Final = (
    Operation(
        id="listEvents",
        method="GET",
        path="/v1/events",
        tag=TAG,
        summary="List events",
        description="Newest first.",
        handler=list_events,
        query=EventQuery,
        answers=(Answer(description="One page.", model=EventList),),
    ),
    Operation(
        id="streamEvents",
        method="GET",
        path="/v1/events/stream",
        tag=TAG,
        summary="Follow events live",
        description="Server-sent events: `id` is the event's id, `event` its type, `data` the event as in the list, on "
        "one line. A comment comes after 15 seconds of silence. Connect again with `Last-Event-ID` to go on where it "
        "broke off; an event that is recorded while nobody listens, later than one with a greater id, is in the list "
        "alone.",
        handler=stream_events,
        query=StreamQuery,
        headers=(Header(name="Last-Event-ID", description="The last event you got.", pattern=f"^{_EVENT_ID}$"),),
        answers=(Answer(description="Events, for as long as you listen.", media_type=EVENT_STREAM),),
        problems=(MALFORMED,),
    ),
)

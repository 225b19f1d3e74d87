"""Event log, and its live stream."""

from __future__ import annotations

import re
from functools import partial
from typing import Final

from actors.commands.events import ListEvents
from api.events.sse import EVENT_STREAM, event_stream
from api.events.tail import EventTail
from api.http.operation import ApiRequest, Header, Operation, ResponseSpec, forward, page_view
from api.http.problems import MALFORMED, ProblemError
from api.http.response import Response
from api.schemas.base import EmptyBody
from api.schemas.messages import EventList, EventQuery, StreamQuery
from api.schemas.views import event_view

operation: Final = partial(Operation, tag="Events")
_EVENT_ID: Final = "evt_[0-9a-f]{32}"
#: A header that stops nginx from buffering the stream.
_UNBUFFERED: Final = ("X-Accel-Buffering", "no")


def _list_events(request: ApiRequest[EmptyBody, EventQuery]) -> ListEvents:
    query = request.query
    return ListEvents(
        account=request.account,
        type=query.type,
        message_id=query.message,
        recipient=query.recipient,
        since_ms=query.since,
        until_ms=query.until,
        limit=query.limit,
        cursor=query.cursor,
    )


async def stream_events(request: ApiRequest[EmptyBody, StreamQuery]) -> Response:
    """The account's events from now on, or after the client's last event."""
    last_id = request.headers.get("last-event-id") or None
    if last_id is not None and not re.fullmatch(_EVENT_ID, last_id):
        raise ProblemError(MALFORMED, "Last-Event-ID is not the id of an event; send one from the stream, or none")
    request.services.streams.check(request.account.no)
    query = request.query
    wanted = ListEvents(account=request.account, type=query.type, message_id=query.message, recipient=query.recipient)
    tail = EventTail(request.services.client, wanted)
    await tail.begin(last_id)
    stream = event_stream(tail, request.services.streams.counted(request.account.no))
    return Response(content_type=EVENT_STREAM, headers=(_UNBUFFERED,), stream=stream)


OPERATIONS: Final = (
    operation(
        id="listEvents",
        path="/v1/events",
        summary="List events",
        description="Newest first.",
        handler=forward(_list_events, page_view(EventList, event_view)),
        query=EventQuery,
        responses=(ResponseSpec(description="One page.", model=EventList),),
    ),
    operation(
        id="streamEvents",
        path="/v1/events/stream",
        summary="Follow events live",
        description="Server-sent events: `id` is the event's id, `event` its type, `data` the event as in the list, on "
        "one line. A comment is sent after 15 seconds of silence. Reconnect with `Last-Event-ID` to continue where it "
        "stopped. Ids are only roughly in the order of recording: an event that was recorded while you were not "
        "connected, after one with a greater id, is only in the list.",
        handler=stream_events,
        query=StreamQuery,
        headers=(
            Header(name="Last-Event-ID", description="The last event that you received.", pattern=f"^{_EVENT_ID}$"),
        ),
        responses=(ResponseSpec(description="Events, while you listen.", media_type=EVENT_STREAM),),
        problems=(MALFORMED,),
    ),
)

"""Event log, and its live stream."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Final

from actors.commands.accounts import Authenticate
from actors.commands.events import ListEvents
from api.events.sse import EVENT_STREAM, AccessCheck, event_stream
from api.events.tail import EVENT_ID, EventTail
from api.http.authentication import sent_key_hash
from api.http.operation import ApiRequest, Header, Operation, ResponseSpec, forward, page_view
from api.http.response import Response
from api.schemas.base import EmptyBody
from api.schemas.messages import EventList, EventQuery, StreamQuery
from api.schemas.views import event_view

operation: Final = partial(Operation, tag="Events")
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
    query = request.query
    wanted = ListEvents(account=request.account, type=query.type, message_id=query.message, recipient=query.recipient)
    tail = EventTail(request.services.client, wanted)
    key = Authenticate(key_hash=sent_key_hash(request.headers))
    with ExitStack() as stack:
        stack.callback(request.services.streams.take(request.account.no))
        is_known = await tail.begin(last_id)
        stream = event_stream(tail, AccessCheck(lambda: request.call(key)), None if is_known else last_id)
        on_end = stack.pop_all().close
    return Response(content_type=EVENT_STREAM, headers=(_UNBUFFERED,), stream=stream, on_end=on_end)


OPERATIONS: Final = (
    operation(
        id="listEvents",
        path="/v1/events",
        summary="List events",
        description="Newest first, in the order of arrival.",
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
        "stopped. If the log does not have that event (any more), the stream begins with an event `gap`: events may be "
        "missing, and the next event is the oldest later one, or a new one. When the key is revoked, the stream ends "
        "within seconds, with an event `end`. Ids are only roughly in the order of recording: an event that was "
        "recorded while you were not connected, after one with a greater id, is only in the list.",
        handler=stream_events,
        query=StreamQuery,
        headers=(
            Header(name="Last-Event-ID", description="The last event that you received.", pattern=f"^{EVENT_ID}$"),
        ),
        responses=(ResponseSpec(description="Events, while you listen.", media_type=EVENT_STREAM),),
    ),
)

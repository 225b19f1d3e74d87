"""The log of events."""

from __future__ import annotations

from typing import Final

from actors.commands import ListEvents
from api.operation import Answer, Call, Operation
from api.reply import Reply
from api.schemas.base import EmptyBody
from api.schemas.messages import EventList, EventQuery
from api.views import event_view


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


OPERATIONS: Final = (
    Operation(
        id="listEvents",
        method="GET",
        path="/v1/events",
        tag="Events",
        summary="List events",
        description="Newest first.",
        handler=list_events,
        query=EventQuery,
        answers=(Answer(description="One page.", model=EventList),),
    ),
)

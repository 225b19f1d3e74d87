"""Deliveries and replays: what a loop was owed, what came of it, and having it delivered again."""

from __future__ import annotations

from typing import Final

from actors.commands.deliveries import (
    CancelReplay,
    GetDelivery,
    GetReplay,
    ListDeliveries,
    ListReplays,
    RetryDelivery,
    StartReplay,
)
from api.http.operation import Answer, Call, Operation, json_body
from api.http.problems import CONFLICT, NOT_FOUND
from api.http.response import Reply
from api.routes.feedback_loops import ITEM as LOOP
from api.schemas.base import EmptyBody, NoQuery, PageQuery
from api.schemas.deliveries import Delivery, DeliveryList, DeliveryQuery, NewReplay, Replay, ReplayList
from api.schemas.views import delivery_view, replay_view

TAG: Final = "Deliveries"
DELIVERY: Final = "/v1/deliveries/{id}"
REPLAYS: Final = f"{LOOP}/replays"
REPLAY: Final = f"{REPLAYS}/{{rid}}"


async def list_deliveries(call: Call[EmptyBody, DeliveryQuery]) -> Reply:
    """One page of the loop's deliveries with their attempts."""
    query = call.query
    command = ListDeliveries(
        account=call.account,
        loop_id=call.path["id"],
        state=query.state,
        type=query.type,
        since_ms=query.since,
        until_ms=query.until,
        limit=query.limit,
        cursor=query.cursor,
    )
    page = await call.services.client.call(command)
    return Reply.of(DeliveryList(data=[delivery_view(d) for d in page.data], next=page.next))


async def get_delivery(call: Call[EmptyBody, NoQuery]) -> Reply:
    """One delivery with its attempts."""
    command = GetDelivery(account=call.account, delivery_id=call.path["id"])
    return Reply.of(delivery_view(await call.services.client.call(command)))


async def retry_delivery(call: Call[EmptyBody, NoQuery]) -> Reply:
    """Makes a delivery due now."""
    command = RetryDelivery(account=call.account, delivery_id=call.path["id"])
    return Reply.of(delivery_view(await call.services.client.call(command)))


async def start_replay(call: Call[NewReplay, NoQuery]) -> Reply:
    """Has deliveries of a stretch of time delivered again."""
    loop_id, body = call.path["id"], call.body
    command = StartReplay(
        account=call.account, loop_id=loop_id, since_ms=body.since, until_ms=body.until, which=body.state
    )
    replay = await call.services.client.call(command)
    location = f"{REPLAYS.format(id=loop_id)}/{replay.id}"
    return Reply.of(replay_view(replay), 202, (("Location", location),))


async def list_replays(call: Call[EmptyBody, PageQuery]) -> Reply:
    """One page of the loop's replays."""
    command = ListReplays(
        account=call.account, loop_id=call.path["id"], limit=call.query.limit, cursor=call.query.cursor
    )
    page = await call.services.client.call(command)
    return Reply.of(ReplayList(data=[replay_view(replay) for replay in page.data], next=page.next))


async def get_replay(call: Call[EmptyBody, NoQuery]) -> Reply:
    """How far a replay has come."""
    command = GetReplay(account=call.account, loop_id=call.path["id"], replay_id=call.path["rid"])
    return Reply.of(replay_view(await call.services.client.call(command)))


async def cancel_replay(call: Call[EmptyBody, NoQuery]) -> Reply:
    """Ends a replay."""
    command = CancelReplay(account=call.account, loop_id=call.path["id"], replay_id=call.path["rid"])
    return Reply.of(replay_view(await call.services.client.call(command)))


OPERATIONS: Final = (
    Operation(
        id="listDeliveries",
        method="GET",
        path=f"{LOOP}/deliveries",
        tag=TAG,
        summary="List a loop's deliveries",
        description="Each with its attempts, newest first.",
        handler=list_deliveries,
        query=DeliveryQuery,
        answers=(Answer(description="One page.", model=DeliveryList),),
        problems=(NOT_FOUND,),
    ),
    Operation(
        id="getDelivery",
        method="GET",
        path=DELIVERY,
        tag=TAG,
        summary="Read a delivery",
        handler=get_delivery,
        answers=(Answer(description="The delivery with its attempts.", model=Delivery),),
        problems=(NOT_FOUND,),
    ),
    Operation(
        id="retryDelivery",
        method="POST",
        path=f"{DELIVERY}/retry",
        tag=TAG,
        summary="Retry a delivery now",
        description="Whatever its state, delivered ones too. Its attempts are kept and counted on, and the retry "
        "schedule begins anew. While an attempt is under way it is a conflict.",
        handler=retry_delivery,
        answers=(Answer(description="The delivery, due now.", model=Delivery),),
        problems=(NOT_FOUND, CONFLICT),
    ),
    Operation(
        id="startReplay",
        method="POST",
        path=f"{LOOP}/replay",
        tag=TAG,
        summary="Replay deliveries of a stretch of time",
        description="Goes on in the background, through restarts, and gives way to live traffic. `Location` leads to "
        "its progress. One at a time for a loop: while one is running, another is a conflict.",
        handler=start_replay,
        bodies=(json_body(NewReplay),),
        answers=(Answer(status=202, description="The replay, begun.", model=Replay),),
        problems=(NOT_FOUND, CONFLICT),
    ),
    Operation(
        id="listReplays",
        method="GET",
        path=REPLAYS,
        tag=TAG,
        summary="List a loop's replays",
        description="Newest first.",
        handler=list_replays,
        query=PageQuery,
        answers=(Answer(description="One page.", model=ReplayList),),
        problems=(NOT_FOUND,),
    ),
    Operation(
        id="getReplay",
        method="GET",
        path=REPLAY,
        tag=TAG,
        summary="Read a replay's progress",
        handler=get_replay,
        answers=(Answer(description="The replay.", model=Replay),),
        problems=(NOT_FOUND,),
    ),
    Operation(
        id="cancelReplay",
        method="DELETE",
        path=REPLAY,
        tag=TAG,
        summary="Cancel a replay",
        description="What was given back to the loop already is still delivered. One that has ended stays as it is.",
        handler=cancel_replay,
        answers=(Answer(description="The replay as it is now.", model=Replay),),
        problems=(NOT_FOUND, CONFLICT),
    ),
)

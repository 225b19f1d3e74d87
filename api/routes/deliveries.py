"""Deliveries with their attempts, retries and replays."""

from __future__ import annotations

from functools import partial
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
from api.http.operation import ApiRequest, Operation, ResponseSpec, forward, json_body, page_view
from api.http.problem_types import CONFLICT, ERASED, NOT_FOUND, TEMPORARY_CONFLICT
from api.http.response import Response
from api.routes.feedback_loops import ITEM as LOOP
from api.schemas.base import EmptyBody, NoQuery, PageQuery
from api.schemas.deliveries import Delivery, DeliveryList, DeliveryQuery, NewReplay, Replay, ReplayList
from api.schemas.views import delivery_view, replay_view

operation: Final = partial(Operation, tag="Deliveries")
DELIVERY: Final = "/v1/deliveries/{id}"
REPLAYS: Final = f"{LOOP}/replays"
REPLAY: Final = f"{REPLAYS}/{{rid}}"


def _list_deliveries(request: ApiRequest[EmptyBody, DeliveryQuery]) -> ListDeliveries:
    query = request.query
    return ListDeliveries(
        account=request.account,
        loop_id=request.path["id"],
        state=query.state,
        type=query.type,
        since_ms=query.since,
        until_ms=query.until,
        limit=query.limit,
        cursor=query.cursor,
    )


async def start_replay(request: ApiRequest[NewReplay, NoQuery]) -> Response:
    """Starts a replay of a period's deliveries."""
    loop_id, body = request.path["id"], request.body
    command = StartReplay(
        account=request.account, loop_id=loop_id, since_ms=body.since, until_ms=body.until, which=body.state
    )
    replay = await request.call(command)
    location = f"{REPLAYS.format(id=loop_id)}/{replay.id}"
    return Response.of(replay_view(replay), 202, (("Location", location),))


OPERATIONS: Final = (
    operation(
        id="listDeliveries",
        path=f"{LOOP}/deliveries",
        summary="List a loop's deliveries",
        description="Newest first, each with its attempts.",
        handler=forward(_list_deliveries, page_view(DeliveryList, delivery_view)),
        query=DeliveryQuery,
        responses=(ResponseSpec(description="One page.", model=DeliveryList),),
        problems=(NOT_FOUND,),
    ),
    operation(
        id="getDelivery",
        path=DELIVERY,
        summary="Read a delivery",
        handler=forward(lambda r: GetDelivery(account=r.account, delivery_id=r.path["id"]), delivery_view),
        responses=(ResponseSpec(description="The delivery with its attempts.", model=Delivery),),
        problems=(NOT_FOUND,),
    ),
    operation(
        id="retryDelivery",
        method="POST",
        path=f"{DELIVERY}/retry",
        summary="Retry a delivery now",
        description="Works in any state, even if it was delivered. Its attempts are kept, their numbers continue, and "
        "the retry schedule starts again. Returns 409 while an attempt is in flight.",
        handler=forward(lambda r: RetryDelivery(account=r.account, delivery_id=r.path["id"]), delivery_view),
        responses=(ResponseSpec(description="The delivery, due now.", model=Delivery),),
        problems=(NOT_FOUND, CONFLICT, ERASED, TEMPORARY_CONFLICT),
    ),
    operation(
        id="startReplay",
        method="POST",
        path=f"{LOOP}/replay",
        summary="Replay a period's deliveries",
        description="Runs in the background, survives restarts, and gives way to live traffic. `Location` links to "
        "its progress. A loop can only have one replay at a time: a second one gets 409.",
        handler=start_replay,
        bodies=(json_body(NewReplay),),
        responses=(ResponseSpec(status=202, description="The replay, started.", model=Replay),),
        problems=(NOT_FOUND, TEMPORARY_CONFLICT),
    ),
    operation(
        id="listReplays",
        path=REPLAYS,
        summary="List a loop's replays",
        description="Newest first.",
        handler=forward(
            lambda r: ListReplays(account=r.account, loop_id=r.path["id"], limit=r.query.limit, cursor=r.query.cursor),
            page_view(ReplayList, replay_view),
        ),
        query=PageQuery,
        responses=(ResponseSpec(description="One page.", model=ReplayList),),
        problems=(NOT_FOUND,),
    ),
    operation(
        id="getReplay",
        path=REPLAY,
        summary="Read a replay's progress",
        handler=forward(
            lambda r: GetReplay(account=r.account, loop_id=r.path["id"], replay_id=r.path["rid"]), replay_view
        ),
        responses=(ResponseSpec(description="The replay.", model=Replay),),
        problems=(NOT_FOUND,),
    ),
    operation(
        id="cancelReplay",
        method="DELETE",
        path=REPLAY,
        summary="Cancel a replay",
        description="Queued deliveries are still made. A replay that has ended does not change.",
        handler=forward(
            lambda r: CancelReplay(account=r.account, loop_id=r.path["id"], replay_id=r.path["rid"]), replay_view
        ),
        responses=(ResponseSpec(description="The replay now.", model=Replay),),
        problems=(NOT_FOUND, CONFLICT),
    ),
)

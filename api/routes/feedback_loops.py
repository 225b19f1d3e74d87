"""Feedback loops: create, list, read, change, delete."""

from __future__ import annotations

from typing import Final

from actors.commands.loops import ChangeLoop, CreateLoop, DeleteLoop, GetLoop, ListLoops
from api.http.operation import ApiRequest, Operation, ResponseSpec, json_body
from api.http.problems import CONFLICT, NOT_FOUND
from api.http.response import Response
from api.schemas.base import EmptyBody, NoQuery, PageQuery
from api.schemas.loop_settings import sent_settings
from api.schemas.loops import FeedbackLoop, FeedbackLoopList, LoopChange, NewLoop, SentLoop
from api.schemas.views import loop_view
from domain.loop_settings import LoopSettings

COLLECTION: Final = "/v1/feedback-loops"
ITEM: Final = f"{COLLECTION}/{{id}}"
TAG: Final = "Feedback loops"


async def create_loop(request: ApiRequest[SentLoop, NoQuery]) -> Response:
    """Creates a loop, unverified."""
    settings = LoopSettings.of(sent_settings(request.body))
    command = CreateLoop(account=request.account, url=request.body.url, settings=settings, seed=request.seed)
    loop = await request.services.client.call(command)
    return Response.of(loop_view(loop), 201, (("Location", f"{COLLECTION}/{loop.id}"),))


async def list_loops(request: ApiRequest[EmptyBody, PageQuery]) -> Response:
    """One page of the account's loops."""
    query = ListLoops(account=request.account, limit=request.query.limit, cursor=request.query.cursor)
    page = await request.services.client.call(query)
    views = {"data": [loop_view(loop) for loop in page.data], "next": page.next}
    return Response.of(FeedbackLoopList.model_validate(views))


async def get_loop(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """One loop."""
    return Response.of(
        loop_view(await request.services.client.call(GetLoop(account=request.account, loop_id=request.path["id"])))
    )


async def change_loop(request: ApiRequest[SentLoop, NoQuery]) -> Response:
    """Changes only the given fields."""
    changes = sent_settings(request.body)
    if "url" in request.body.model_fields_set:
        changes["url"] = request.body.url
    command = ChangeLoop(account=request.account, loop_id=request.path["id"], changes=changes)
    return Response.of(loop_view(await request.services.client.call(command)))


async def delete_loop(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """Deletes a loop."""
    await request.services.client.call(DeleteLoop(account=request.account, loop_id=request.path["id"]))
    return Response(status=204)


COLLECTION_OPERATIONS: Final = (
    Operation(
        id="createFeedbackLoop",
        method="POST",
        path=COLLECTION,
        tag=TAG,
        summary="Create a feedback loop",
        description="The loop receives events once it is verified: place its file or DNS record, then verify it.",
        handler=create_loop,
        bodies=(json_body(NewLoop),),
        responses=(
            ResponseSpec(status=201, description="The loop, `unverified`, with its secret.", model=FeedbackLoop),
        ),
    ),
    Operation(
        id="listFeedbackLoops",
        method="GET",
        path=COLLECTION,
        tag=TAG,
        summary="List feedback loops",
        handler=list_loops,
        query=PageQuery,
        responses=(ResponseSpec(description="One page.", model=FeedbackLoopList),),
    ),
)

OPERATIONS: Final = (
    Operation(
        id="getFeedbackLoop",
        method="GET",
        path=ITEM,
        tag=TAG,
        summary="Read a feedback loop",
        handler=get_loop,
        responses=(ResponseSpec(description="The loop.", model=FeedbackLoop),),
        problems=(NOT_FOUND,),
    ),
    Operation(
        id="changeFeedbackLoop",
        method="PATCH",
        path=ITEM,
        tag=TAG,
        summary="Change a feedback loop",
        description="Fields that you leave out stay the same, also within `filters` (RFC 7396, but null removes none). "
        "A changed `url` makes the loop `unverified`, with a new verification file. Events wait until it is verified.",
        handler=change_loop,
        bodies=(json_body(LoopChange), json_body(LoopChange, "application/merge-patch+json")),
        responses=(ResponseSpec(description="The loop now.", model=FeedbackLoop),),
        problems=(NOT_FOUND, CONFLICT),
    ),
    Operation(
        id="deleteFeedbackLoop",
        method="DELETE",
        path=ITEM,
        tag=TAG,
        summary="Delete a feedback loop",
        description="Its backlog is dropped.",
        handler=delete_loop,
        responses=(ResponseSpec(status=204, description="The loop is deleted."),),
        problems=(NOT_FOUND,),
    ),
)

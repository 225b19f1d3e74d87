"""Feedback loops: create, list, read, change, delete."""

from __future__ import annotations

from functools import partial
from typing import Final

from actors.commands.loops import ChangeLoop, CreateLoop, DeleteLoop, GetLoop, ListLoops
from api.http.operation import ApiRequest, Operation, ResponseSpec, forward, json_body, page_view
from api.http.problem_types import CONFLICT, NOT_FOUND
from api.http.response import Response
from api.schemas.base import NoQuery, PageQuery
from api.schemas.loop_settings import sent_settings
from api.schemas.loops import FeedbackLoop, FeedbackLoopList, LoopChange, NewLoop, SentLoop
from api.schemas.views import loop_view
from domain.loop_settings import LoopSettings

COLLECTION: Final = "/v1/feedback-loops"
ITEM: Final = f"{COLLECTION}/{{id}}"
loop_operation: Final = partial(Operation, tag="Feedback loops")


async def create_loop(request: ApiRequest[SentLoop, NoQuery]) -> Response:
    """Creates a loop, unverified."""
    settings = LoopSettings.of(sent_settings(request.body))
    command = CreateLoop(account=request.account, url=request.body.url, settings=settings, seed=request.seed)
    loop = await request.call(command)
    return Response.of(loop_view(loop), 201, (("Location", f"{COLLECTION}/{loop.id}"),))


async def change_loop(request: ApiRequest[SentLoop, NoQuery]) -> Response:
    """Changes only the given fields."""
    changes = sent_settings(request.body)
    if "url" in request.body.model_fields_set:
        changes["url"] = request.body.url
    command = ChangeLoop(account=request.account, loop_id=request.path["id"], changes=changes)
    return Response.of(loop_view(await request.call(command)))


COLLECTION_OPERATIONS: Final = (
    loop_operation(
        id="createFeedbackLoop",
        method="POST",
        path=COLLECTION,
        summary="Create a feedback loop",
        description="The loop receives events once it is verified: place its file or DNS record, then verify it.",
        handler=create_loop,
        bodies=(json_body(NewLoop),),
        responses=(
            ResponseSpec(status=201, description="The loop, `unverified`, with its secret.", model=FeedbackLoop),
        ),
    ),
    loop_operation(
        id="listFeedbackLoops",
        path=COLLECTION,
        summary="List feedback loops",
        handler=forward(
            lambda r: ListLoops(account=r.account, limit=r.query.limit, cursor=r.query.cursor),
            page_view(FeedbackLoopList, loop_view),
        ),
        query=PageQuery,
        responses=(ResponseSpec(description="One page.", model=FeedbackLoopList),),
    ),
)

OPERATIONS: Final = (
    loop_operation(
        id="getFeedbackLoop",
        path=ITEM,
        summary="Read a feedback loop",
        handler=forward(lambda r: GetLoop(account=r.account, loop_id=r.path["id"]), loop_view),
        responses=(ResponseSpec(description="The loop.", model=FeedbackLoop),),
        problems=(NOT_FOUND,),
    ),
    loop_operation(
        id="changeFeedbackLoop",
        method="PATCH",
        path=ITEM,
        summary="Change a feedback loop",
        description="Fields that you leave out stay the same, also within `filters` (RFC 7396, but null removes none). "
        "A changed `url` makes the loop `unverified`, with a new verification file. Events wait until it is verified.",
        handler=change_loop,
        bodies=(json_body(LoopChange), json_body(LoopChange, "application/merge-patch+json")),
        responses=(ResponseSpec(description="The loop now.", model=FeedbackLoop),),
        problems=(NOT_FOUND, CONFLICT),
    ),
    loop_operation(
        id="deleteFeedbackLoop",
        method="DELETE",
        path=ITEM,
        summary="Delete a feedback loop",
        description="Its backlog is dropped.",
        handler=forward(lambda r: DeleteLoop(account=r.account, loop_id=r.path["id"])),
        responses=(ResponseSpec(status=204, description="The loop is deleted."),),
        problems=(NOT_FOUND,),
    ),
)

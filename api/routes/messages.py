"""Messages: registration and history."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Final

from actors.commands.messages import GetMessage, ListMessages, MessageResult, MessageSpec, RegisterMessages
from api.http.body import MAX_MESSAGE_TOKENS
from api.http.ndjson import MAX_LINES_BYTES, Lines, error_of, read_lines
from api.http.operation import ApiRequest, BodyType, Operation, ResponseSpec, json_body
from api.http.problem_types import CONFLICT, ERASED, NOT_FOUND, TEMPORARY_CONFLICT
from api.http.response import NDJSON, Response
from api.messages.ndjson import MAX_MESSAGE_BYTES, LinesRegistrar
from api.messages.registration import prepare, tracked
from api.schemas.base import EmptyBody, NoQuery
from api.schemas.messages import Message, MessageList, MessageQuery, NewMessage, RegisteredLine, TrackedMessage
from api.schemas.views import listed_message_view, message_view
from domain.errors import FeedbackLoopsError

operation: Final = partial(Operation, tag="Messages")


async def register_messages(request: ApiRequest[NewMessage | Lines, NoQuery]) -> Response:
    """Registers one message, or one per line."""
    request.services.urls.check_reachable()
    if isinstance(request.body, Lines):
        registrar = LinesRegistrar(
            lambda specs: _register(request, specs), request.services.urls, request.account.no, request.seed
        )
        body = await registrar.answer(request.body.lines)
        return Response(
            status=201,
            body=body,
            content_type=NDJSON,
            frees_key=registrar.has_temporary_problem,
            message_keys=tuple(registrar.message_keys),
        )
    prepared = await prepare(request.body, request.services.urls, request.account.no, request.seed, 0)
    (result,) = await _register(request, [prepared.spec])
    if result.rejection is not None:
        raise error_of(result.rejection)
    if result.message is None:
        raise FeedbackLoopsError("a message was neither registered nor rejected")
    status = 200 if result.message.is_known else 201
    answer = Response.of(await tracked(prepared, result.message, request.services.urls), status)
    return replace(answer, message_keys=(result.message.key,))


async def _register(request: ApiRequest[NewMessage | Lines, NoQuery], specs: list[MessageSpec]) -> list[MessageResult]:
    return await request.call(RegisterMessages(account=request.account, messages=specs))


async def list_messages(request: ApiRequest[EmptyBody, MessageQuery]) -> Response:
    """The account's messages, newest first."""
    query, urls = request.query, request.services.urls
    command = ListMessages(
        account=request.account,
        recipient=query.recipient,
        tag=query.tag,
        mailing=query.mailing,
        limit=query.limit,
        cursor=query.cursor,
    )
    page = await request.call(command)
    data = [listed_message_view(message, urls) for message in page.data]
    return Response.of(MessageList(data=data, next=page.next))


async def get_message(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """The message and its history."""
    message = await request.call(GetMessage(account=request.account, message_id=request.path["id"]))
    return Response.of(message_view(message, request.services.urls))


OPERATIONS: Final = (
    operation(
        id="registerMessages",
        method="POST",
        path="/v1/messages",
        summary="Register messages to track",
        description="Send one as JSON, or up to 20,000 lines as NDJSON. Each line gets one response line with its "
        "number, in order. An invalid line gets a problem object; the others are registered. Blank lines count. A "
        "known `id` with the same content gets the same answer again; with another content, it is a 409.",
        handler=register_messages,
        bodies=(
            json_body(NewMessage, max_bytes=MAX_MESSAGE_BYTES, max_tokens=MAX_MESSAGE_TOKENS),
            BodyType(
                media_type=NDJSON,
                model=NewMessage,
                read=read_lines,
                max_bytes=MAX_LINES_BYTES,
                is_lines=True,
            ),
        ),
        responses=(
            ResponseSpec(status=201, description="The message's tracking URLs.", model=TrackedMessage),
            ResponseSpec(
                status=200,
                description="The same message was registered before: its tracking URLs again. Nothing changed.",
                model=TrackedMessage,
            ),
            ResponseSpec(
                status=201,
                description="As NDJSON, one line for each line: tracking URLs, a problem, or only the number if it is "
                "blank.",
                model=RegisteredLine,
                media_type=NDJSON,
                is_lines=True,
            ),
        ),
        problems=(CONFLICT, ERASED, TEMPORARY_CONFLICT),
    ),
    operation(
        id="listMessages",
        path="/v1/messages",
        summary="List messages",
        description="Newest first, without their history.",
        handler=list_messages,
        query=MessageQuery,
        responses=(ResponseSpec(description="One page.", model=MessageList),),
    ),
    operation(
        id="getMessage",
        path="/v1/messages/{id}",
        summary="Read a message and its history",
        description="Write a `/` in the id as `%2F`.",
        handler=get_message,
        responses=(ResponseSpec(description="The message.", model=Message),),
        problems=(NOT_FOUND,),
    ),
)

"""Messages: registration and history."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Final

from actors.commands.messages import GetMessage, MessageResult, MessageSpec, RegisterMessages
from api.http.body import MAX_MESSAGE_TOKENS, MIB
from api.http.operation import ApiRequest, BodyType, Operation, ResponseSpec, json_body
from api.http.problems import CONFLICT, NOT_FOUND
from api.http.response import NDJSON, Response
from api.messages.ndjson import MAX_MESSAGE_BYTES, LinesRegistrar, error_of, prepare, read_lines, tracked
from api.schemas.base import EmptyBody, NoQuery
from api.schemas.messages import Message, NewMessage, TrackedMessage
from api.schemas.views import message_view
from domain.errors import FeedbackLoopsError

operation: Final = partial(Operation, tag="Messages")
MAX_LINES_BYTES: Final = 16 * MIB


@dataclass(frozen=True, slots=True)
class Lines:
    """The lines of an NDJSON body."""

    lines: list[bytes]


async def register_messages(request: ApiRequest[NewMessage | Lines, NoQuery]) -> Response:
    """Registers one message, or one per line."""
    if isinstance(request.body, Lines):
        registrar = LinesRegistrar(lambda specs: _register(request, specs), request.services.urls, request.seed)
        return Response(status=201, body=await registrar.answer(request.body.lines), content_type=NDJSON)
    prepared = await prepare(request.body, request.services.urls, request.seed, 0)
    (result,) = await _register(request, [prepared.spec])
    if result.rejection is not None:
        raise error_of(result.rejection)
    if result.message is None:
        raise FeedbackLoopsError("a message was neither registered nor rejected")
    return Response.of(await tracked(prepared, result.message, request.services.urls), 201)


async def _register(request: ApiRequest[NewMessage | Lines, NoQuery], specs: list[MessageSpec]) -> list[MessageResult]:
    return await request.call(RegisterMessages(account=request.account, messages=specs))


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
        description="Send one as JSON, or up to 20,000 as NDJSON. Each line gets one response line, in order. "
        "An invalid line gets a problem object; the others are registered.",
        handler=register_messages,
        bodies=(
            json_body(NewMessage, max_bytes=MAX_MESSAGE_BYTES, max_tokens=MAX_MESSAGE_TOKENS),
            BodyType(
                media_type=NDJSON,
                model=NewMessage,
                read=lambda body: Lines(read_lines(body)),
                max_bytes=MAX_LINES_BYTES,
                is_lines=True,
            ),
        ),
        responses=(
            ResponseSpec(status=201, description="The message's tracking URLs.", model=TrackedMessage),
            ResponseSpec(
                status=201,
                description="One line for each line: tracking URLs, or a problem.",
                model=TrackedMessage,
                media_type=NDJSON,
                is_lines=True,
            ),
        ),
        problems=(CONFLICT,),
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

"""Messages: registered before they are sent, looked at afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from actors.commands.messages import GetMessage, MessageResult, MessageSpec, RegisterMessages
from api.http.body import MAX_MESSAGE_MARKS, MIB
from api.http.operation import Answer, BodyType, Call, Operation, json_body
from api.http.problems import CONFLICT, NOT_FOUND
from api.http.response import NDJSON, Reply
from api.messages.ndjson import MAX_MESSAGE_BYTES, LinesRegistrar, error_of, prepare, read_lines, tracked
from api.schemas.base import EmptyBody, NoQuery
from api.schemas.messages import Message, NewMessage, TrackedMessage
from api.schemas.views import message_view
from domain.errors import FeedbackLoopsError

MAX_LINES_BYTES: Final = 16 * MIB


@dataclass(frozen=True, slots=True)
class Lines:
    """An NDJSON body, cut into lines."""

    lines: list[bytes]


async def register_messages(call: Call[NewMessage | Lines, NoQuery]) -> Reply:
    """Registers one message, or one per line."""
    if isinstance(call.body, Lines):
        registrar = LinesRegistrar(lambda specs: _register(call, specs), call.services.urls, call.seed)
        return Reply(status=201, body=await registrar.answer(call.body.lines), content_type=NDJSON)
    prepared = await prepare(call.body, call.services.urls, call.seed, 0)
    (result,) = await _register(call, [prepared.spec])
    if result.rejection is not None:
        raise error_of(result.rejection)
    if result.message is None:
        raise FeedbackLoopsError("a message was neither registered nor rejected")
    return Reply.of(await tracked(prepared, result.message, call.services.urls), 201)


async def _register(call: Call[NewMessage | Lines, NoQuery], specs: list[MessageSpec]) -> list[MessageResult]:
    return await call.services.client.call(RegisterMessages(account=call.account, messages=specs))


async def get_message(call: Call[EmptyBody, NoQuery]) -> Reply:
    """The message and what became of it."""
    message = await call.services.client.call(GetMessage(account=call.account, message_id=call.path["id"]))
    return Reply.of(message_view(message, call.services.urls))


OPERATIONS: Final = (
    Operation(
        id="registerMessages",
        method="POST",
        path="/v1/messages",
        tag="Messages",
        summary="Register messages to track",
        description="One as JSON, or many as NDJSON: at most 20,000 lines, answered by a line per line, in order. "
        "There a line that is wrong gets a problem object, and the others are registered.",
        handler=register_messages,
        bodies=(
            json_body(NewMessage, max_bytes=MAX_MESSAGE_BYTES, max_marks=MAX_MESSAGE_MARKS),
            BodyType(
                media_type=NDJSON,
                model=NewMessage,
                read=lambda body: Lines(read_lines(body)),
                max_bytes=MAX_LINES_BYTES,
                is_lines=True,
            ),
        ),
        answers=(
            Answer(status=201, description="The message's tracking URLs.", model=TrackedMessage),
            Answer(
                status=201,
                description="A line per line: tracking URLs, or a problem.",
                model=TrackedMessage,
                media_type=NDJSON,
                is_lines=True,
            ),
        ),
        problems=(CONFLICT,),
    ),
    Operation(
        id="getMessage",
        method="GET",
        path="/v1/messages/{id}",
        tag="Messages",
        summary="Read a message and its history",
        description="Write a `/` in the id as `%2F`.",
        handler=get_message,
        answers=(Answer(description="The message.", model=Message),),
        problems=(NOT_FOUND,),
    ),
)

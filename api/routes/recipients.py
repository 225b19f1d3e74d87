"""People: everything that is kept about one, and erasures."""

from __future__ import annotations

from functools import partial
from typing import Final

from actors.commands.erasures import EraseRecipient, GetErasure, ListErasures
from actors.commands.recipients import ExportPage, ExportRecipient
from api.http.operation import Access, ApiRequest, Operation, ResponseSpec, forward, page_view
from api.http.problem_types import NOT_FOUND
from api.http.response import NDJSON, Response
from api.http.validation import invalid_input
from api.recipients.export import export_lines
from api.schemas.base import EmptyBody, NoQuery
from api.schemas.recipients import Erasure, ErasureList, ErasureListQuery, ErasureQuery, ExportedLine
from api.schemas.views import erasure_view

operation: Final = partial(Operation, tag="People")
RECIPIENT: Final = "/v1/recipients/{email}"
ERASURES: Final = "/v1/erasures"


async def export_recipient(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """Everything that the account keeps about a person."""

    async def read_page(cursor: str | None) -> ExportPage:
        return await request.call(ExportRecipient(account=request.account, email=request.path["email"], cursor=cursor))

    first = await read_page(None)
    return Response(content_type=NDJSON, stream=export_lines(first, read_page, request.services.urls))


async def erase_recipient(request: ApiRequest[EmptyBody, ErasureQuery]) -> Response:
    """Starts an erasure."""
    query = request.query
    if request.is_operator and query.accounts is None:
        raise invalid_input(
            [("/accounts", "must be `all` with the admin key; use an account's API key for one account")]
        )
    if query.accounts is not None and not request.is_operator:
        raise invalid_input([("/accounts", "needs the admin key")])
    command = EraseRecipient(
        account=None if request.is_operator else request.account,
        email=request.path["email"],
        keep_opt_out=query.keep_opt_out == "true",
    )
    return Response.of(erasure_view(await request.call(command)), 202)


def _list_erasures(request: ApiRequest[EmptyBody, ErasureListQuery]) -> ListErasures:
    account = None if request.is_operator else request.account
    return ListErasures(account=account, limit=request.query.limit, cursor=request.query.cursor)


def _get_erasure(request: ApiRequest[EmptyBody, NoQuery]) -> GetErasure:
    return GetErasure(account=None if request.is_operator else request.account, erasure_id=request.path["id"])


OPERATIONS: Final = (
    operation(
        id="exportRecipient",
        path=RECIPIENT,
        summary="Read everything that is kept about a person",
        description="For an access request: messages, their events with all fields, returned mails, deliveries with "
        "their attempts, and the profiles with this address or named by the messages, with their former data. All "
        "spellings of an address are one person. Each line is one thing; in the last line, `record` is `end`, "
        "otherwise the export is not complete. Write `%`, `/`, `?` and `#` in the address as `%25`, `%2F`, `%3F` and "
        "`%23`. Your proxy's log has the URL, with the address.",
        handler=export_recipient,
        responses=(
            ResponseSpec(description="One line for each thing.", model=ExportedLine, media_type=NDJSON, is_lines=True),
        ),
    ),
    operation(
        id="eraseRecipient",
        method="DELETE",
        path=RECIPIENT,
        summary="Erase a person",
        description="Removes everything that reveals the person, in the ledger and in all front ends, and ends pending "
        "deliveries. What happened stays, without the person. The answer is the same for an unknown address. "
        "To repeat the request is safe.",
        access=Access.EITHER,
        handler=erase_recipient,
        query=ErasureQuery,
        responses=(ResponseSpec(status=202, description="The erasure, which has begun.", model=Erasure),),
    ),
    operation(
        id="listErasures",
        path=ERASURES,
        summary="List erasures",
        description="Newest first; with the admin key, those of all accounts.",
        access=Access.EITHER,
        handler=forward(_list_erasures, page_view(ErasureList, erasure_view)),
        query=ErasureListQuery,
        responses=(ResponseSpec(description="One page.", model=ErasureList),),
    ),
    operation(
        id="getErasure",
        path=f"{ERASURES}/{{id}}",
        summary="Read an erasure",
        access=Access.EITHER,
        handler=forward(_get_erasure, erasure_view),
        responses=(ResponseSpec(description="The erasure.", model=Erasure),),
        problems=(NOT_FOUND,),
    ),
)

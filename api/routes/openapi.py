"""Self-description of the API: OpenAPI document, its page, and the explanation of each problem."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from api.http.operation import ApiRequest, Operation, ResponseSpec
from api.http.problem_types import NOT_FOUND, PROBLEM_TYPES
from api.http.response import Response
from api.openapi.document import openapi_document
from api.openapi.html import HEADERS, docs_page, problem_page
from api.routes.service import service_operation
from api.schemas.base import EmptyBody, NoQuery
from domain.errors import NotFound

_HTML = "text/html; charset=utf-8"


def with_documents(operations: Sequence[Operation], version: str) -> tuple[Operation, ...]:
    """The operations, and those that describe all of them."""

    async def openapi(_request: ApiRequest[EmptyBody, NoQuery]) -> Response:
        return openapi_response

    async def page(_request: ApiRequest[EmptyBody, NoQuery]) -> Response:
        return page_response

    described = (
        *operations,
        service_operation(
            id="getOpenApi",
            path="/openapi.json",
            summary="This document",
            handler=openapi,
            responses=(ResponseSpec(description="OpenAPI 3.1.", media_type="application/json"),),
        ),
        service_operation(
            id="getDocs",
            path="/docs",
            summary="This document as a page",
            handler=page,
            responses=(ResponseSpec(description="The page.", media_type=_HTML),),
        ),
        service_operation(
            id="getProblem",
            path="/problems/{kind}",
            summary="Explain a kind of problem",
            handler=_problem,
            responses=(ResponseSpec(description="The explanation.", media_type=_HTML),),
            problems=(NOT_FOUND,),
        ),
    )
    # Made once per process.
    document = openapi_document(described, version)
    openapi_response = Response(body=msgspec.json.encode(document))
    page_response = _page(docs_page(document))
    return described


async def _problem(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    kind = PROBLEM_TYPES.get(request.path["kind"])
    if kind is None:
        raise NotFound(f"there is no problem of this kind; the kinds are {', '.join(PROBLEM_TYPES)}")
    return _page(problem_page(kind))


def _page(html: str) -> Response:
    return Response(body=html.encode(), content_type=_HTML, headers=HEADERS)

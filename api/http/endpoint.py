"""Endpoint: checks a request (key, path, query, body, Idempotency-Key, in this order) and calls its handler.

The request is validated before its Idempotency-Key is claimed, so an invalid request does not use up the key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from actors.commands.accounts import Account
from api.http.authentication import Authenticator
from api.http.body import read_body, run_in_thread_if_long
from api.http.idempotency import IdempotencyKeys, claim_for, idempotency_key
from api.http.operation import NO_BODY, Access, ApiRequest, BodyType, Operation, Services
from api.http.problem_types import METHOD_NOT_ALLOWED, UNSUPPORTED_MEDIA_TYPE
from api.http.problems import ProblemError, problem_of
from api.http.response import Response, send_response
from api.http.validation import invalid_input, validate_query
from domain.validation import MAX_ADDRESS_CHARS, text_problem

_UTF_8 = re.compile(r'charset="?utf-?8"?', re.IGNORECASE)


class Endpoint:
    """ASGI application of all operations at one path. Every error becomes a problem response."""

    def __init__(
        self,
        operations: Mapping[str, Operation],
        services: Services,
        authenticator: Authenticator,
        idempotency_keys: IdempotencyKeys,
    ) -> None:
        """`operations` by their method."""
        self._operations = operations
        self._services = services
        self._authenticator = authenticator
        self._idempotency_keys = idempotency_keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_known = False
        try:
            operation = self._operation(scope["method"])
            headers = Headers(scope=scope)
            account = await self._authenticator.account_for(
                operation.access,
                headers.get("authorization"),
                needs_only_the_journal=operation.needs_only_the_journal,
            )
            is_known = operation.access is not Access.ANYBODY
            response = await self._respond(operation, account, headers, scope, receive)
        except ClientDisconnect:
            return
        except Exception as exc:  # noqa: BLE001 - the last line of defence: every request gets a response
            response = problem_of(exc, is_known=is_known).response()
        with suppress(ClientDisconnect):
            await send_response(scope, receive, send, response)

    async def _respond(
        self, operation: Operation, account: Account, headers: Headers, scope: Scope, receive: Receive
    ) -> Response:
        if operation.method != "GET":
            self._services.ledger_watch.require()
        is_operator = self._authenticator.is_operator(headers.get("authorization"))
        path = path_parameters(scope)
        query = validate_query(operation.query, scope["query_string"])
        key = idempotency_key(headers.getlist("idempotency-key")) if operation.has_idempotency else None
        body_type, raw = await _body(operation, headers, receive)
        body = await run_in_thread_if_long(len(raw), body_type.read, raw)
        request: ApiRequest[Any, Any] = ApiRequest(
            services=self._services,
            account=account,
            path=path,
            query=query,
            body=body,
            headers=headers,
            is_operator=is_operator,
        )
        if key is None:
            return await operation.handler(request)
        claim = await run_in_thread_if_long(
            len(raw),
            claim_for,
            "admin" if operation.access is Access.ADMIN else account.id,
            key,
            method=operation.method,
            path=scope["path"],
            query=scope["query_string"].decode("ascii"),
            content_type=body_type.media_type,
            body=raw,
        )
        return await self._idempotency_keys.once(claim, lambda: operation.handler(replace(request, seed=claim.seed)))

    def _operation(self, method: str) -> Operation:
        operation = self._operations.get("GET" if method == "HEAD" else method)
        if operation is None:
            allowed = ", ".join(sorted({*self._operations} | ({"HEAD"} if "GET" in self._operations else set())))
            raise ProblemError(
                METHOD_NOT_ALLOWED, f"this path accepts {allowed}, not {method}", headers=(("Allow", allowed),)
            )
        return operation


def path_parameters(scope: Scope) -> dict[str, str]:
    """The path parameters, decoded after routing so that an id may contain a `/` (as %2F)."""
    found, problems = {}, []
    for name, raw in scope["path_params"].items():
        try:
            found[name] = unquote_to_bytes(raw).decode()
            # Any recipient must fit: who cannot be named could not be erased. Ids have limits of their own.
            problem = text_problem(found[name], MAX_ADDRESS_CHARS)
        except UnicodeDecodeError:
            problem = "must be UTF-8, percent-encoded"
        if problem is not None:
            problems.append((f"/{name}", f"in the path {problem}"))
    if problems:
        raise invalid_input(problems)
    return found


async def _body(operation: Operation, headers: Headers, receive: Receive) -> tuple[BodyType, bytes]:
    if operation.method in {"GET", "DELETE"}:
        return NO_BODY, b""
    bodies = operation.bodies or (NO_BODY,)
    _check_encoding(headers)
    content_type = headers.get("content-type", "")
    wanted = next((b for b in bodies if b.media_type == _media_type(content_type, is_text=not b.raw)), None)
    if wanted is None and operation.bodies:
        raise _unsupported(content_type, operation.bodies)
    raw = await read_body(headers.get("content-length"), receive, (wanted or NO_BODY).max_bytes)
    if wanted is None and raw.strip():
        raise _unsupported(content_type, bodies)
    return wanted or NO_BODY, raw


def _media_type(content_type: str, *, is_text: bool) -> str:
    """The media type in lower case; empty if the charset of a text is not UTF-8 (RFC 8259 section 8.1)."""
    media_type, *parameters = (part.strip() for part in content_type.split(";"))
    charsets = [p for p in parameters if p.lower().startswith("charset=") and is_text]
    return media_type.lower() if all(_UTF_8.fullmatch(charset) for charset in charsets) else ""


def _check_encoding(headers: Headers) -> None:
    encoding = headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise ProblemError(
            UNSUPPORTED_MEDIA_TYPE, f"Content-Encoding {encoding[:40]} is not supported; send the body as it is"
        )


def _unsupported(content_type: str, bodies: tuple[BodyType, ...]) -> ProblemError:
    known = " or ".join(b.media_type for b in bodies)
    known += "" if any(b.raw for b in bodies) else " in UTF-8"
    sent = f"not {content_type[:80]}" if content_type else "and it is missing"
    advice = "".join(f"; send {b.raw}, as the body" for b in bodies if b.raw)
    return ProblemError(UNSUPPORTED_MEDIA_TYPE, f"Content-Type must be {known}, {sent}{advice}")

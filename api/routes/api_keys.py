"""API keys of the account."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any, Final

from actors.commands import accounts as account_commands
from actors.commands.accounts import IssueApiKey, ListApiKeys, RevokeApiKey
from api.http.authentication import key_hash, new_api_key
from api.http.operation import ApiRequest, Operation, ResponseSpec, forward, json_body
from api.http.problem_types import NOT_FOUND
from api.http.response import Response
from api.schemas.accounts import ApiKey, ApiKeyList, NewApiKey, NewApiKeyWithSecret
from api.schemas.base import NoQuery, time_text

COLLECTION: Final = "/v1/api-keys"
operation: Final = partial(Operation, tag="API keys")


def _facts(key: account_commands.ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "created_at": time_text(key.issued_at_ms),
        "last_used_at": None if key.used_at_ms is None else time_text(key.used_at_ms),
    }


async def create_key(request: ApiRequest[NewApiKey, NoQuery]) -> Response:
    """Creates a key. Only its hash is stored."""
    api_key = new_api_key()
    command = IssueApiKey(account=request.account, name=request.body.name, key_hash=key_hash(api_key))
    made = await request.call(command)
    return Response.of(NewApiKeyWithSecret(**_facts(made), api_key=api_key), 201)


def _key_list(keys: Iterable[account_commands.ApiKey]) -> ApiKeyList:
    return ApiKeyList(data=[ApiKey(**_facts(key)) for key in keys], next=None)


OPERATIONS: Final = (
    operation(
        id="createApiKey",
        method="POST",
        path=COLLECTION,
        summary="Create an API key",
        description="The response contains the key, which is shown only once. It gives access to the whole account.",
        handler=create_key,
        bodies=(json_body(NewApiKey),),
        responses=(ResponseSpec(status=201, description="The key.", model=NewApiKeyWithSecret),),
    ),
    operation(
        id="listApiKeys",
        path=COLLECTION,
        summary="List the account's API keys",
        handler=forward(lambda r: ListApiKeys(account=r.account), _key_list),
        responses=(ResponseSpec(description="All keys, newest first.", model=ApiKeyList),),
    ),
    operation(
        id="revokeApiKey",
        method="DELETE",
        path=f"{COLLECTION}/{{id}}",
        summary="Revoke an API key",
        description="The key is refused within seconds. You can revoke the key that you use for this call; an account "
        "without keys can create new ones in the dashboard.",
        handler=forward(lambda r: RevokeApiKey(account=r.account, key_id=r.path["id"])),
        responses=(ResponseSpec(status=204, description="The key is revoked."),),
        problems=(NOT_FOUND,),
    ),
)

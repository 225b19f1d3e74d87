"""Accounts: opened with the admin key."""

from __future__ import annotations

from typing import Final

from actors.commands.accounts import CreateAccount
from api.http.authentication import key_hash, new_api_key
from api.http.operation import Access, ApiRequest, Operation, ResponseSpec, json_body
from api.http.response import Response
from api.schemas.accounts import Account, NewAccount
from api.schemas.base import NoQuery


async def create_account(request: ApiRequest[NewAccount, NoQuery]) -> Response:
    """Opens an account. Only the hash of its key is stored."""
    api_key = new_api_key()
    account = await request.call(CreateAccount(name=request.body.name, key_hash=key_hash(api_key)))
    return Response.of(Account(id=account.id, name=account.name, api_key=api_key), 201)


OPERATIONS: Final = (
    Operation(
        id="createAccount",
        method="POST",
        path="/v1/accounts",
        tag="Accounts",
        summary="Open an account",
        description="The response contains the account's API key, which is shown only once.",
        access=Access.ADMIN,
        handler=create_account,
        bodies=(json_body(NewAccount),),
        responses=(ResponseSpec(status=201, description="The account and its key.", model=Account),),
    ),
)

"""Accounts: opened with the admin key."""

from __future__ import annotations

from typing import Final

from actors.commands.accounts import CreateAccount, ListAccounts
from api.http.authentication import key_hash, new_api_key
from api.http.operation import Access, ApiRequest, Operation, ResponseSpec, json_body
from api.http.response import Response
from api.http.validation import invalid_input
from api.schemas.accounts import Account, AccountList, ListedAccount, NewAccount
from api.schemas.base import EmptyBody, NoQuery, PageQuery


async def create_account(request: ApiRequest[NewAccount, NoQuery]) -> Response:
    """Opens an account. Only the hash of its key is stored."""
    api_key = new_api_key()
    account = await request.call(CreateAccount(name=request.body.name, key_hash=key_hash(api_key)))
    return Response.of(Account(id=account.id, name=account.name, api_key=api_key), 201)


async def list_accounts(request: ApiRequest[EmptyBody, PageQuery]) -> Response:
    """All accounts. The cursor is the number of the last one."""
    query = request.query
    after = query.cursor or "0"
    if not (after.isascii() and after.isdigit() and len(after) < 19):
        raise invalid_input([("/cursor", "is not a cursor of this list; pass the `next` of its last page, or none")])
    found = await request.call(ListAccounts(after=int(after), limit=query.limit + 1))
    shown = found[: query.limit]
    following = str(shown[-1].no) if len(found) > query.limit else None
    data = [ListedAccount(id=account.id, name=account.name) for account in shown]
    return Response.of(AccountList(data=data, next=following))


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
    Operation(
        id="listAccounts",
        path="/v1/accounts",
        tag="Accounts",
        summary="List the accounts",
        description="Oldest first.",
        access=Access.ADMIN,
        handler=list_accounts,
        query=PageQuery,
        responses=(ResponseSpec(description="One page.", model=AccountList),),
    ),
)

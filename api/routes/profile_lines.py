"""Import of profiles from NDJSON lines."""

from __future__ import annotations

from typing import Final

import msgspec

from actors.commands.accounts import Account
from actors.commands.profiles import ImportProfiles, ImportResult, ProfileSpec
from actors.gateway.client import Client
from api.http.body import KIB
from api.http.ndjson import LineFormat, LinesAnswerer, error_of
from api.schemas.profiles import ImportedProfile

#: Limit of one profile, whether it is the body or a line.
MAX_PROFILE_BYTES: Final = 128 * KIB


class LinesImporter(LinesAnswerer[ImportedProfile, ProfileSpec, ImportResult]):
    """Imports the profiles of an NDJSON body, each in its own transaction.

    One command after the other, so that the last of several lines with the same id wins.
    """

    def __init__(self, client: Client, account: Account, database: str, *, with_events: bool) -> None:
        super().__init__(LineFormat(ImportedProfile, "profile", MAX_PROFILE_BYTES), in_flight=1)
        self._client = client
        self._account = account
        self._database = database
        self._with_events = with_events

    async def prepare(self, number: int, model: ImportedProfile) -> ProfileSpec:  # noqa: ARG002
        fields = msgspec.Raw(msgspec.json.encode(model.fields))
        return ProfileSpec(id=model.id, fields=fields, interests=model.interests)

    async def carry_out(self, items: list[ProfileSpec]) -> list[ImportResult]:
        command = ImportProfiles(
            account=self._account, database=self._database, profiles=items, with_events=self._with_events
        )
        return await self._client.call(command)

    async def answer_of(self, item: ProfileSpec, result: ImportResult) -> bytes:
        if result.rejection is not None:
            raise error_of(result.rejection)
        return msgspec.json.encode({"id": item.id, "result": result.result})

"""Profiles, whose data is added to the events of their messages."""

from __future__ import annotations

from functools import partial
from typing import Final

import msgspec

from actors.commands.messages import GetProfile, PutProfile
from api.http.body import KIB
from api.http.operation import ApiRequest, Operation, ResponseSpec, forward, json_body
from api.http.problems import CONCURRENT_WRITE, NOT_FOUND
from api.http.response import Response
from api.schemas.base import NoQuery
from api.schemas.messages import Profile, ProfileData
from api.schemas.views import profile_view

operation: Final = partial(Operation, tag="Profiles")
_ITEM: Final = "/v1/databases/{db}/profiles/{id}"
MAX_PROFILE_BYTES: Final = 128 * KIB


async def put_profile(request: ApiRequest[ProfileData, NoQuery]) -> Response:
    """Creates a profile or replaces its data."""
    command = PutProfile(
        account=request.account,
        database=request.path["db"],
        profile_id=request.path["id"],
        fields=msgspec.Raw(msgspec.json.encode(request.body.fields)),
        interests=request.body.interests,
    )
    profile = await request.call(command)
    return Response.of(profile_view(profile), 201 if profile.created else 200)


OPERATIONS: Final = (
    operation(
        id="putProfile",
        method="PUT",
        path=_ITEM,
        summary="Create a profile or replace its data",
        handler=put_profile,
        bodies=(json_body(ProfileData, max_bytes=MAX_PROFILE_BYTES),),
        responses=(
            ResponseSpec(status=201, description="The profile was created.", model=Profile),
            ResponseSpec(status=200, description="Its data was replaced.", model=Profile),
        ),
        problems=(CONCURRENT_WRITE,),
    ),
    operation(
        id="getProfile",
        path=_ITEM,
        summary="Read a profile",
        handler=forward(
            lambda r: GetProfile(account=r.account, database=r.path["db"], profile_id=r.path["id"]), profile_view
        ),
        responses=(ResponseSpec(description="The profile.", model=Profile),),
        problems=(NOT_FOUND,),
    ),
)

"""Profiles, whose data is added to the events of their messages, and subprofiles."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import msgspec

from actors.commands.profiles import DeleteProfile, GetProfile, PatchProfile, PutProfile
from api.http.ndjson import MAX_LINES_BYTES, Lines, read_lines
from api.http.operation import ApiRequest, BodyType, Operation, ResponseSpec, forward, json_body
from api.http.problem_types import CONCURRENT_WRITE, NOT_FOUND
from api.http.response import NDJSON, Response
from api.routes.profile_lines import MAX_PROFILE_BYTES, LinesImporter
from api.schemas.base import AnswerModel, NoQuery
from api.schemas.profiles import (
    ImportedLine,
    ImportedProfile,
    ImportQuery,
    Profile,
    ProfileChanges,
    ProfileData,
    Subprofile,
)
from api.schemas.views import profile_view
from domain.profile_change import ProfileKey

operation: Final = partial(Operation, tag="Profiles")
_ALL: Final = "/v1/databases/{db}/profiles"
_PROFILE: Final = f"{_ALL}/{{id}}"
_SUBPROFILE: Final = f"{_PROFILE}/collections/{{c}}/subprofiles/{{sid}}"


def _key(request: ApiRequest[Any, Any]) -> ProfileKey:
    path = request.path
    return ProfileKey(path["db"], path["id"], path.get("c"), path.get("sid"))


async def put_profile(request: ApiRequest[ProfileData, NoQuery]) -> Response:
    """Creates a profile or subprofile, or replaces its data."""
    command = PutProfile(
        account=request.account,
        key=_key(request),
        fields=msgspec.Raw(msgspec.json.encode(request.body.fields)),
        interests=request.body.interests,
    )
    profile = await request.call(command)
    return Response.of(profile_view(profile), 201 if profile.created else 200)


async def patch_profile(request: ApiRequest[ProfileChanges, NoQuery]) -> Response:
    """Changes some of the data of a profile or subprofile."""
    given = request.body.model_fields_set
    command = PatchProfile(
        account=request.account,
        key=_key(request),
        fields=msgspec.Raw(msgspec.json.encode(request.body.fields if "fields" in given else {})),
        interests=request.body.interests if "interests" in given else None,
    )
    return Response.of(profile_view(await request.call(command)))


async def import_profiles(request: ApiRequest[Lines, ImportQuery]) -> Response:
    """Creates profiles or replaces their data, one per line."""
    importer = LinesImporter(
        request.services.client, request.account, request.path["db"], with_events=request.query.events == "all"
    )
    return Response(status=200, body=await importer.answer(request.body.lines), content_type=NDJSON)


def _operations(what: str, path: str, model: type[AnswerModel], note: str, deletes: str) -> Iterator[Operation]:
    """The operations of one profile or subprofile."""
    name = what.capitalize()
    yield operation(
        id=f"put{name}",
        method="PUT",
        path=path,
        summary=f"Create a {what} or replace its data",
        description=f"{note}Fires `create` or `update`, and nothing if nothing changed: the order of names and of "
        "interests does not matter, and `1` equals `1.0`.",
        handler=put_profile,
        bodies=(json_body(ProfileData, max_bytes=MAX_PROFILE_BYTES),),
        responses=(
            ResponseSpec(status=201, description=f"The {what} was created.", model=model),
            ResponseSpec(status=200, description="Its data was replaced.", model=model),
        ),
        problems=(CONCURRENT_WRITE, NOT_FOUND) if path == _SUBPROFILE else (CONCURRENT_WRITE,),
    )
    yield operation(
        id=f"patch{name}",
        method="PATCH",
        path=path,
        summary=f"Change some data of a {what}",
        description="Fires `update`, and nothing if nothing changed.",
        handler=patch_profile,
        bodies=(json_body(ProfileChanges, max_bytes=MAX_PROFILE_BYTES),),
        responses=(ResponseSpec(description=f"The {what} after the change.", model=model),),
        problems=(CONCURRENT_WRITE, NOT_FOUND),
    )
    yield operation(
        id=f"get{name}",
        path=path,
        summary=f"Read a {what}",
        handler=forward(lambda r: GetProfile(account=r.account, key=_key(r)), profile_view),
        responses=(ResponseSpec(description=f"The {what}.", model=model),),
        problems=(NOT_FOUND,),
    )
    yield operation(
        id=f"delete{name}",
        method="DELETE",
        path=path,
        summary=f"Delete a {what}",
        description=deletes,
        handler=forward(lambda r: DeleteProfile(account=r.account, key=_key(r))),
        responses=(ResponseSpec(status=204, description="It was deleted."),),
        problems=(CONCURRENT_WRITE, NOT_FOUND),
    )


OPERATIONS: Final = (
    operation(
        id="importProfiles",
        method="PUT",
        path=_ALL,
        summary="Import profiles",
        description="Send up to 20,000 lines. Each line is written on its own, like a PUT of one profile, and gets one "
        "response line with its number, in order. An invalid line gets a problem object; the others are written. Blank "
        "lines count. You can send the same import again: profiles that have not changed fire nothing.",
        handler=import_profiles,
        bodies=(
            BodyType(
                media_type=NDJSON,
                model=ImportedProfile,
                read=partial(read_lines, what="profile"),
                max_bytes=MAX_LINES_BYTES,
                is_lines=True,
            ),
        ),
        query=ImportQuery,
        responses=(
            ResponseSpec(
                description="One line for each line: a result, a problem, or only the number of a blank line.",
                model=ImportedLine,
                media_type=NDJSON,
                is_lines=True,
            ),
        ),
    ),
    *_operations(
        "profile",
        _PROFILE,
        Profile,
        "",
        "Deletes its subprofiles first. Each fires a `delete` with the last data, all in one transaction.",
    ),
    *_operations(
        "subprofile", _SUBPROFILE, Subprofile, "The profile must exist. ", "Fires a `delete` with the last data."
    ),
)

"""Keys of the installation: their state, rotation and end."""

from __future__ import annotations

from functools import partial
from typing import Final

from actors.commands import installation_keys as commands
from actors.commands.installation_keys import (
    DropInstallationKey,
    ReadKeyStatus,
    ReadKeyUse,
    RotateInstallationKey,
    RotateMasterKey,
)
from api.http.operation import Access, ApiRequest, Operation, ResponseSpec, forward
from api.http.problem_types import CONFLICT, NOT_FOUND
from api.schemas.base import EmptyBody, NoQuery, time_text
from api.schemas.installation_keys import FrontEnd, InstallationKey, InstallationKeys, InstallationKeyUse
from domain.errors import NotFound

COLLECTION: Final = "/v1/installation-keys"
ITEM: Final = f"{COLLECTION}/{{id}}"
operation: Final = partial(Operation, tag="Installation keys", access=Access.ADMIN)


def _time(unix_ms: int | None) -> str | None:
    return None if unix_ms is None else time_text(unix_ms)


def _status(status: commands.KeyStatus) -> InstallationKeys:
    return InstallationKeys(
        installation=status.installation,
        created_at=time_text(status.created_ms),
        generation=status.generation,
        master_key=status.master_key,
        next_master_key=status.next_master_key,
        loops_to_follow=status.loops_to_follow,
        keys=[
            InstallationKey.model_validate(
                {
                    "id": key.id,
                    "state": key.state,
                    "created_at": time_text(key.created_ms),
                    "signs_since": _time(key.signs_from_ms),
                    "signed_until": _time(key.signs_until_ms),
                }
            )
            for key in status.keys
        ],
        front_ends=[
            FrontEnd(
                id=each.id,
                name=each.name,
                generation=each.generation,
                master_key=each.master_key,
                confirmed_at=time_text(each.confirmed_ms),
                is_awaited=each.is_awaited,
            )
            for each in status.front_ends
        ],
    )


def _use(use: commands.KeyUse) -> InstallationKeyUse:
    return InstallationKeyUse(messages=use.messages, passwords=use.passwords, secrets=use.secrets, headers=use.headers)


def _key_id(request: ApiRequest[EmptyBody, NoQuery]) -> int:
    text = request.path["id"]
    if not (text.isascii() and text.isdigit() and len(text) < 4):
        raise NotFound(f"there is no installation key {text}")
    return int(text)


OPERATIONS: Final = (
    operation(
        id="readInstallationKeys",
        path=COLLECTION,
        summary="Read the state of the installation's keys",
        handler=forward(lambda _: ReadKeyStatus(), _status),
        responses=(ResponseSpec(description="The keys and the front ends that have them.", model=InstallationKeys),),
    ),
    operation(
        id="rotateInstallationKey",
        method="POST",
        path=f"{COLLECTION}/rotate",
        summary="Add an installation key",
        description="It signs once every known front end has it on its disk. Then the secrets of all feedback loops "
        "are rotated. The former secrets also sign for 24 hours; of a loop with four secrets, the oldest ends.",
        handler=forward(lambda _: RotateInstallationKey(), _status),
        responses=(ResponseSpec(description="The keys.", model=InstallationKeys),),
        problems=(CONFLICT,),
    ),
    operation(
        id="rotateMasterKey",
        method="POST",
        path=f"{COLLECTION}/rotate-master",
        summary="Replace the master key",
        description="Wraps the keys for the next master key, too, which a service on one machine creates itself. No "
        "link, secret or password changes. The former master key ends once every known front end uses the next one.",
        handler=forward(lambda _: RotateMasterKey(), _status),
        responses=(ResponseSpec(description="The keys.", model=InstallationKeys),),
        problems=(CONFLICT,),
    ),
    operation(
        id="readInstallationKeyUse",
        path=ITEM,
        summary="Count what ends with an installation key",
        handler=forward(lambda r: ReadKeyUse(key_id=_key_id(r)), _use),
        responses=(ResponseSpec(description="The counts.", model=InstallationKeyUse),),
        problems=(NOT_FOUND,),
    ),
    operation(
        id="dropInstallationKey",
        method="DELETE",
        path=ITEM,
        summary="Drop an old installation key",
        description="Ends it for good, with every link, secret, password and header that depends on it.",
        handler=forward(lambda r: DropInstallationKey(key_id=_key_id(r)), _status),
        responses=(ResponseSpec(description="The remaining keys.", model=InstallationKeys),),
        problems=(NOT_FOUND, CONFLICT),
    ),
)

"""Sample commands for a loop's runtime, which ignores their account and loop."""

from __future__ import annotations

from typing import Any, Final

from actors.commands.accounts import Account
from actors.commands.deliveries import CancelReplay, RetryDelivery, StartReplay
from actors.commands.loops import (
    ChangeLoop,
    DeleteLoop,
    GetSecret,
    PauseLoop,
    ResumeLoop,
    RotateSecret,
    SendSample,
    VerifyLoop,
)

_ACCOUNT: Final = Account(no=1, id="acc_1", name="Acme")
_TARGET: Final[dict[str, Any]] = {"account": _ACCOUNT, "loop_id": "fl_1"}

DELETE: Final = DeleteLoop(**_TARGET)
GET_SECRET: Final = GetSecret(**_TARGET)
PAUSE: Final = PauseLoop(**_TARGET)
RESUME: Final = ResumeLoop(**_TARGET)
ROTATE_SECRET: Final = RotateSecret(**_TARGET)
VERIFY: Final = VerifyLoop(**_TARGET)


def change(changes: dict[str, Any]) -> ChangeLoop:
    return ChangeLoop(**_TARGET, changes=changes)


def sample(type_: str, data: dict[str, Any]) -> SendSample:
    return SendSample(**_TARGET, type=type_, data=data)


def replay(which: str, since_ms: int, until_ms: int) -> StartReplay:
    return StartReplay(**_TARGET, which=which, since_ms=since_ms, until_ms=until_ms)


def cancel(replay_id: int) -> CancelReplay:
    return CancelReplay(**_TARGET, replay_id=f"rpl_{replay_id}")


def retry(delivery_id: int) -> RetryDelivery:
    return RetryDelivery(account=_ACCOUNT, delivery_id=f"dlv_{delivery_id}")

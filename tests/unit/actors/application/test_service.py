"""Command dispatch of the application service."""

from __future__ import annotations

import asyncio
from typing import Any, get_args, get_type_hints

import pytest

from actors.application import service
from actors.application.accounts import AccountService
from actors.application.deliveries import DeliveryService
from actors.application.erasures import ErasureService
from actors.application.events import EventService
from actors.application.front_end_erasures import FrontEndErasureService
from actors.application.installation_keys import InstallationKeyService
from actors.application.loops import ForwardedCommand, LoopService
from actors.application.messages import MessageRegistration
from actors.application.profiles import ProfileService
from actors.application.recipients import RecipientService
from actors.application.reports import ReportService
from actors.application.service import ApplicationService
from actors.application.statistics import StatisticsService
from actors.application.users import UserService
from actors.commands.accounts import Account
from actors.commands.deliveries import CancelReplay, RetryDelivery, StartReplay
from actors.commands.handlers import Handlers, HandlerTable
from actors.commands.loop_keys import FollowKey
from actors.commands.loops import GetLoop
from actors.commands.protocol import COMMANDS, answer_type
from actors.delivery.loop_commands import LoopCommands

ACCOUNT = Account(no=1, id="acc_1", name="Acme")
TABLES = [
    each.handlers
    for each in (
        AccountService,
        ApplicationService,
        DeliveryService,
        ErasureService,
        EventService,
        FrontEndErasureService,
        InstallationKeyService,
        LoopService,
        MessageRegistration,
        ProfileService,
        RecipientService,
        ReportService,
        StatisticsService,
        UserService,
    )
]


def test_every_command_has_exactly_one_handler() -> None:
    """No command lacks a handler, and none has two."""
    handled = [command for table in TABLES for command in table.methods]

    assert len(set(handled)) == len(handled)
    assert set(handled) == set(COMMANDS.values())


@pytest.mark.parametrize(
    ("command", "method"), [item for table in TABLES for item in table.methods.items()], ids=lambda each: each.__name__
)
def test_a_handler_takes_its_command_and_returns_its_answer(command: type, method: Any) -> None:
    """The annotations match the command, which mypy cannot check for `handlers.add`."""
    hints = get_type_hints(method)
    returned = hints.pop("return")
    [parameter] = hints.values()

    assert command in (get_args(parameter) or (parameter,))
    # Commands of several types that are forwarded share one method.
    assert returned in (answer_type(command), Any)


def test_a_loop_handles_every_command_that_is_forwarded_to_it() -> None:
    """Otherwise the loop's process would refuse the command."""
    forwarded = {*get_args(ForwardedCommand), CancelReplay, FollowKey, RetryDelivery, StartReplay}

    assert set(LoopCommands.handlers.methods) == forwarded


def test_a_command_without_a_handler_is_refused() -> None:
    """This may be a command of a later version."""
    with pytest.raises(TypeError, match="has no handler for GetLoop"):
        asyncio.run(LoopCommands.handlers.dispatch(None, GetLoop(account=ACCOUNT, loop_id="fl_1")))


async def _unused(_command: Any) -> None:
    raise NotImplementedError


def test_a_command_without_exactly_one_handler_prevents_the_start() -> None:
    """The service does not start if a command has no handler or two."""
    handlers: Handlers = dict.fromkeys(COMMANDS.values(), _unused)
    with pytest.raises(TypeError, match="GetLoop"):
        service._merged({command: each for command, each in handlers.items() if command is not GetLoop})
    with pytest.raises(TypeError, match="GetLoop"):
        service._merged(handlers, {GetLoop: handlers[GetLoop]})


def test_a_class_has_one_handler_per_command() -> None:
    """A second one raises at import."""
    table = HandlerTable()

    @table.add(GetLoop)
    async def first(_self: Any, _command: GetLoop) -> Any: ...

    with pytest.raises(ValueError, match="GetLoop"):
        table.add(GetLoop)(first)

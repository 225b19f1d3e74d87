"""The protocol's table of commands."""

from importlib import import_module
from pkgutil import iter_modules

from actors import commands
from actors.commands.command import Command
from actors.commands.loop_keys import FollowKey
from actors.commands.loops import LoopCommand
from actors.commands.protocol import COMMANDS


def test_every_command_of_the_package_can_cross_the_socket() -> None:
    """Commands of a module missing in the protocol's table could not be sent. `FollowKey` is the gateway's own."""
    for module in iter_modules(commands.__path__):
        import_module(f"actors.commands.{module.name}")

    subclasses = {*Command.__subclasses__(), *LoopCommand.__subclasses__()} - {LoopCommand}
    in_package = [each for each in subclasses if each.__module__.startswith("actors.commands.")]
    assert {each.__name__: each for each in in_package if each is not FollowKey} == COMMANDS

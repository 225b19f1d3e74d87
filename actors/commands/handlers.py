"""Handler table: the commands that a class handles, and the method for each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, TypeVar

from actors.commands.command import Command

F = TypeVar("F", bound=Callable[[Any, Any], Awaitable[Any]])

#: Handlers of one object, by the type of the command.
Handlers = dict[type[Command[Any]], Callable[[Any], Awaitable[Any]]]


class HandlerTable:
    """The handlers of one class, registered by a decorator in the class body.

    The usages of a command therefore include its handler.
    """

    def __init__(self) -> None:
        #: The methods, by the type of the command.
        self.methods: dict[type[Command[Any]], Callable[[Any, Any], Awaitable[Any]]] = {}

    def add(self, *commands: type[Command[Any]]) -> Callable[[F], F]:
        """Registers the decorated method as the handler of the commands.

        Raises:
            ValueError: a command has a handler already.
        """

        def register(method: F) -> F:
            for command in commands:
                if command in self.methods:
                    raise ValueError(f"{command.__name__} has a handler already")
                self.methods[command] = method
            return method

        return register

    async def dispatch(self, owner: object, command: Command[Any]) -> Any:
        """Calls the handler of `owner`, an object of the class, and returns its answer.

        Raises:
            TypeError: the class has no handler for the command.
        """
        if (method := self.methods.get(type(command))) is None:
            raise TypeError(f"{type(owner).__name__} has no handler for {type(command).__name__}")
        return await method(owner, command)

    def bound_to(self, owner: object) -> Handlers:
        """The handlers of `owner`, an object of the class."""
        return {command: partial(method, owner) for command, method in self.methods.items()}

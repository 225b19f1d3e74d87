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
        self._methods: dict[type[Command[Any]], Callable[[Any, Any], Awaitable[Any]]] = {}

    def add(self, command: type[Command[Any]]) -> Callable[[F], F]:
        """Registers the decorated method as the handler of a command.

        Raises:
            ValueError: the command has a handler already.
        """

        def register(method: F) -> F:
            if command in self._methods:
                raise ValueError(f"{command.__name__} has a handler already")
            self._methods[command] = method
            return method

        return register

    @property
    def methods(self) -> dict[type[Command[Any]], Callable[[Any, Any], Awaitable[Any]]]:
        """The methods, by the type of the command."""
        return dict(self._methods)

    def bound_to(self, owner: object) -> Handlers:
        """The handlers of `owner`, an object of the class."""
        return {command: partial(method, owner) for command, method in self._methods.items()}

"""Calls to Ray actors by name: keeps their handles, and turns Ray's errors into errors of the domain."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any, Final

import msgspec
import ray
from ray.exceptions import PendingCallsLimitExceeded, RayError, RayTaskError

from actors.actor_names import display_name, own_loop
from actors.ray_runtime import options
from domain.errors import FeedbackLoopsError, InternalError, Overloaded, Unavailable, from_wire, to_wire

log = logging.getLogger(__name__)

ADDRESS_TIMEOUT_S: Final = 5.0


class Reply(msgspec.Struct, array_like=True, frozen=True):
    """The result of an actor's method. Ray wraps exceptions in its own classes, so errors travel as values.

    Every version reads it before anything else, so its shape never changes (`actors.compatibility`).
    """

    value: Any
    error: tuple[str, list[Any]] | None = None


async def reply_with(work: Awaitable[Any]) -> Reply:
    """Awaits the work of an actor's method; an error of the domain becomes part of the reply."""
    try:
        return Reply(await work)
    except FeedbackLoopsError as exc:
        return Reply(None, to_wire(exc))


class ActorClient:
    """Calls named actors of this installation. A handle survives its actor's restarts, so each is looked up once."""

    def __init__(self) -> None:
        self._handles: dict[str, Any] = {}

    def handle(self, name: str) -> Any:
        """The actor's handle.

        Raises:
            Unavailable: there is no such actor now.
        """
        if (known := self._handles.get(name)) is not None:
            return known
        try:
            found = ray.get_actor(name, namespace=options.NAMESPACE)
        except ValueError as exc:
            raise Unavailable(f"{display_name(name)} is not running") from exc
        except RayError as exc:
            log.warning("Ray does not answer", extra={"action": "ray_silent", **_facts(name), "error": repr(exc)})
            raise Unavailable(f"{display_name(name)} cannot be reached") from exc
        self._handles[name] = found
        return found

    def forget(self, name: str) -> None:
        """Looks the actor up again at the next call."""
        self._handles.pop(name, None)

    async def address(self, name: str) -> tuple[str, int]:
        """Host and port of the actor's `Listener`. Raises as `call` does."""
        host, port = await self.call(name, "address", timeout_s=ADDRESS_TIMEOUT_S)
        return host, port

    async def call(self, name: str, method: str, *args: Any, timeout_s: float = 30.0) -> Any:
        """Calls a method that returns a `Reply`, and returns the reply's value.

        Raises:
            FeedbackLoopsError: the actor's own; or `Overloaded`; or `Unavailable` or `InternalError`, and the call may
                have run.
        """
        try:
            async with asyncio.timeout(timeout_s):
                # Ray's look-up blocks while its head is down, so it runs in a thread.
                actor = self._handles.get(name) or await asyncio.to_thread(self.handle, name)
                reply: Reply = await getattr(actor, method).remote(*args)
        except PendingCallsLimitExceeded as exc:
            raise Overloaded(f"{display_name(name)} is busy") from exc
        except RayTaskError as exc:
            raise _failure(exc, name, method) from exc
        except RayError as exc:
            self.forget(name)
            facts = {"action": "actor_away", **_facts(name), "error": type(exc).__name__}
            log.warning("actor unavailable", extra=facts)
            raise Unavailable(f"{display_name(name)} is away", True) from exc
        except TimeoutError as exc:
            raise Unavailable(f"{display_name(name)} did not answer within {timeout_s:.0f} s", True) from exc
        if reply.error is not None:
            raise from_wire(*reply.error)
        return reply.value


def _facts(name: str) -> dict[str, str]:
    """The actor for the log, with its loop if it runs only one."""
    loop_id = own_loop(name)
    return {"actor": name} if loop_id is None else {"actor": name, "loop_id": loop_id}


def _failure(exc: RayTaskError, name: str, method: str) -> FeedbackLoopsError:
    """The error for the caller of a method that raised. The text of Ray's error is the traceback in the actor."""
    if isinstance(exc.cause, FeedbackLoopsError):  # raised outside `reply_with`
        return exc.cause
    facts = {"action": "actor_failed", **_facts(name), "method": method}
    log.error("an actor failed unexpectedly", exc_info=exc, extra=facts)
    return InternalError(f"Something unexpected happened in {display_name(name)}, and was logged. Try again.")

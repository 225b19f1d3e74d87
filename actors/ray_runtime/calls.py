"""Calls to Ray actors by name: finds handles, keeps them, and turns Ray's errors into ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable
from typing import Any

import msgspec
import ray
from ray.exceptions import PendingCallsLimitExceeded, RayError, RayTaskError

from actors.ray_runtime import options
from domain.errors import FeedbackLoopsError, InternalError, Overloaded, Unavailable, from_wire, to_wire

log = logging.getLogger(__name__)


class Answer(msgspec.Struct, array_like=True, frozen=True):
    """What crosses back: Ray wraps exceptions in classes of its own, so ours travel as values.

    It is read before anything else is, by every version: it stays as it is (`actors.compatibility`).
    """

    value: Any
    error: tuple[str, list[Any]] | None = None


async def answering(work: Awaitable[Any]) -> Answer:
    """Awaits the work of an actor's method; an error of ours becomes part of the answer."""
    try:
        return Answer(await work)
    except FeedbackLoopsError as exc:
        return Answer(None, to_wire(exc))


class Actors:
    """Named actors of this installation. Handles outlive an actor's restarts, so each is looked up once."""

    def __init__(self) -> None:
        self._handles: dict[str, Any] = {}

    def handle(self, name: str) -> Any:
        """The actor's handle.

        Raises:
            Unavailable: there is no such actor (now).
        """
        if (known := self._handles.get(name)) is not None:
            return known
        try:
            found = ray.get_actor(name, namespace=options.NAMESPACE)
        except ValueError as exc:
            raise Unavailable(f"{options.words_for(name)} is not running") from exc
        except RayError as exc:
            log.warning("Ray does not answer", extra={"action": "ray_silent", **_who(name), "error": repr(exc)})
            raise Unavailable(f"{options.words_for(name)} cannot be reached") from exc
        self._handles[name] = found
        return found

    def forget(self, name: str) -> None:
        """Looks the actor up anew next time."""
        self._handles.pop(name, None)

    async def ask(self, name: str, method: str, *args: Any, timeout_s: float = 30.0) -> Any:
        """Calls a method that answers with an `Answer`, and gives its value.

        Raises:
            FeedbackLoopsError: the actor's own; or `Overloaded`; or `Unavailable` or `InternalError`, and the call may
                have run.
        """
        who = options.words_for(name)
        try:
            async with asyncio.timeout(timeout_s):
                # Ray's look-up blocks for as long as its head is away; whoever asks has other things to do meanwhile.
                actor = self._handles.get(name) or await asyncio.to_thread(self.handle, name)
                answer: Answer = await getattr(actor, method).remote(*args)
        except PendingCallsLimitExceeded as exc:
            raise Overloaded(f"{who} is busy") from exc
        except RayTaskError as exc:
            raise _failure(exc, name, method) from exc
        except RayError as exc:
            self.forget(name)
            facts = {"action": "actor_away", **_who(name), "error": type(exc).__name__}
            log.warning("an actor is away", extra=facts)
            raise Unavailable(f"{who} is away", True) from exc
        except TimeoutError as exc:
            raise Unavailable(f"{who} did not answer within {timeout_s:.0f} s", True) from exc
        if answer.error is not None:
            raise from_wire(*answer.error)
        return answer.value


def _who(name: str) -> dict[str, str]:
    """The actor, for the log; of a feedback loop's the loop too."""
    loop_id = name.removeprefix(options.loop_name(""))
    return {"actor": name} if loop_id == name else {"actor": name, "loop_id": loop_id}


def _failure(exc: RayTaskError, name: str, method: str) -> FeedbackLoopsError:
    """What an actor's method that raised is to its caller. The text of Ray's error is the traceback over there."""
    if isinstance(exc.cause, FeedbackLoopsError):  # raised where nothing was `answering`
        return exc.cause
    facts = {"action": "actor_failed", **_who(name), "method": method}
    log.error("an actor failed unexpectedly", exc_info=exc, extra=facts)
    return InternalError(f"Something unexpected happened in {options.words_for(name)}, and was logged. Try again.")

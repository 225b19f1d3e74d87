"""Calls to actors: how Ray's errors reach the caller. These tests need no Ray."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from ray.exceptions import ActorUnavailableError, RayTaskError

from actors import actor_names
from actors.ray_runtime.calls import ActorClient, Reply, reply_with
from api.http.problem_types import INTERNAL
from api.http.problems import problem_of
from domain.errors import InternalError, NotFound, Unavailable

LOOP = "feedback-loop/fl_1"


class Method:
    """Fake method of a handle, with the given result."""

    def __init__(self, end: Any) -> None:
        self._end = end

    async def remote(self, *_args: Any) -> Reply:
        if isinstance(self._end, Exception):
            raise self._end
        return await reply_with(self._end())


class Handle:
    """Fake handle of an actor with one method."""

    def __init__(self, end: Any) -> None:
        self.verify = Method(end)


def result_of(end: Any, name: str = LOOP) -> Any:
    """Calls the method of a fake actor: returns its value or raises its error."""
    actors = ActorClient()
    actors._handles[name] = Handle(end)
    return asyncio.run(actors.call(name, "verify"))


def raised_there(cause: Exception) -> RayTaskError:
    """Ray's error for an exception in an actor's method."""
    make: Any = RayTaskError  # untyped
    error: RayTaskError = make("verify", "Traceback: KeyError in prover.py", cause, "ray::Loop", 1, "127.0.0.1")
    dual: RayTaskError = make.as_instanceof_cause(error)
    return dual


@pytest.mark.parametrize(
    "cause", [KeyError("location"), TimeoutError("x"), ValueError("no such actor"), OSError(5, "x")]
)
def test_a_fault_in_an_actor_is_an_internal_error(cause: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with the actor's traceback; the caller gets no details, and only a known one the actor's name."""
    with pytest.raises(InternalError) as caught:
        result_of(raised_there(cause))

    problem = problem_of(caught.value, is_known=True)
    assert (problem.kind, problem.kind.status) == (INTERNAL, 500)
    assert problem.detail == "Something unexpected happened in feedback loop fl_1, and was logged. Try again."
    assert "fl_1" not in problem_of(caught.value).detail
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert "KeyError in prover.py" in str(record.exc_info[1])


def test_a_domain_error_keeps_its_type() -> None:
    """This holds for errors in a reply and for exceptions of the method."""

    async def refuse() -> None:
        raise NotFound("there is no such loop")

    for end in (refuse, raised_there(NotFound("there is no such loop"))):
        with pytest.raises(NotFound, match="there is no such loop") as caught:
            result_of(end)
        assert type(caught.value) is NotFound


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (LOOP, "feedback loop fl_1"),
        (actor_names.LEDGER, "the ledger"),
        (actor_names.SUPERVISOR, "the supervisor"),
        (actor_names.enricher_name(0), "enricher 0"),
    ],
)
def test_an_unavailable_actor_is_described_in_words(name: str, words: str) -> None:
    """The message has neither Ray's class names nor the actor's name."""
    with pytest.raises(Unavailable) as caught:
        result_of(ActorUnavailableError("it died", b"\0" * 16), name)
    assert (str(caught.value), caught.value.may_have_run) == (f"{words} is away", True)


def test_a_reply_is_returned() -> None:
    """The caller gets the method's value."""

    async def answer() -> int:
        return 7

    assert result_of(answer) == 7

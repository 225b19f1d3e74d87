"""Calls to actors: what goes wrong over there, as the caller hears of it. Ray's own errors, without a Ray."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from ray.exceptions import ActorUnavailableError, RayTaskError

from actors import actor_names
from actors.ray_runtime.calls import ActorClient, Reply, reply_with
from api.http.problems import INTERNAL, problem_of
from domain.errors import InternalError, NotFound, Unavailable

LOOP = "feedback-loop/fl_1"


class Method:
    """A method of a handle, that ends as it is told to."""

    def __init__(self, end: Any) -> None:
        self._end = end

    async def remote(self, *_args: Any) -> Reply:
        if isinstance(self._end, Exception):
            raise self._end
        return await reply_with(self._end())


class Handle:
    """An actor's handle with the one method."""

    def __init__(self, end: Any) -> None:
        self.verify = Method(end)


def asked(end: Any, name: str = LOOP) -> Any:
    """What `ask` gives or raises when the actor's method ends so."""
    actors = ActorClient()
    actors._handles[name] = Handle(end)
    return asyncio.run(actors.call(name, "verify"))


def raised_there(cause: Exception) -> RayTaskError:
    """What Ray makes of an exception in an actor's method."""
    make: Any = RayTaskError  # untyped
    error: RayTaskError = make("verify", "Traceback: KeyError in prover.py", cause, "ray::Loop", 1, "127.0.0.1")
    dual: RayTaskError = make.as_instanceof_cause(error)
    return dual


@pytest.mark.parametrize(
    "cause", [KeyError("location"), TimeoutError("x"), ValueError("no such actor"), OSError(5, "x")]
)
def test_a_fault_in_an_actor_is_an_internal_error(cause: Exception, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with the traceback from over there, and the caller hears nothing of the inside."""
    with pytest.raises(InternalError) as caught:
        asked(raised_there(cause))

    problem = problem_of(caught.value)
    assert (problem.kind, problem.kind.status) == (INTERNAL, 500)
    assert problem.detail == "Something unexpected happened in feedback loop fl_1, and was logged. Try again."
    [record] = caplog.records
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert "KeyError in prover.py" in str(record.exc_info[1])


def test_an_error_of_ours_is_itself_wherever_it_was_raised() -> None:
    """One that an actor raised outside what it answers is what it is; so is one that it answers with."""

    async def refuse() -> None:
        raise NotFound("there is no such loop")

    for end in (refuse, raised_there(NotFound("there is no such loop"))):
        with pytest.raises(NotFound, match="there is no such loop") as caught:
            asked(end)
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
def test_an_actor_that_is_away_is_named_in_words(name: str, words: str) -> None:
    """Neither Ray's classes nor actors' names are in what the caller hears."""
    with pytest.raises(Unavailable) as caught:
        asked(ActorUnavailableError("it died", b"\0" * 16), name)
    assert (str(caught.value), caught.value.may_have_run) == (f"{words} is away", True)


def test_an_answer_is_given() -> None:
    """What the method gives is what the caller gets."""

    async def answer() -> int:
        return 7

    assert asked(answer) == 7

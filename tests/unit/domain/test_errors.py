"""`domain.errors`: every class crosses processes intact."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest

from domain import errors
from domain.errors import FeedbackLoopsError, from_wire, to_wire

#: Arguments of each class after the detail.
SAMPLES: dict[str, list[Any]] = {
    "FeedbackLoopsError": [],
    "DomainError": [],
    "InvalidInput": [[("/a", "is wrong"), ("/b/0", "is worse")]],
    "InvalidToken": [],
    "UnknownKey": [],
    "NotFound": [],
    "Conflict": [],
    "Erased": [],
    "IdempotencyConflict": [True],
    "StoreError": [],
    "WrongInstallation": [],
    "ConcurrentWrite": [],
    "StaleRoutes": [7],
    "FirstTaken": [],
    "StoreUnavailable": [],
    "SessionLost": [],
    "NotMigrated": [],
    "UnknownIntake": [[0, 3]],
    "TemporaryConflict": [2.5],
    "Overloaded": [2.5],
    "Unavailable": [True],
    "Moved": [False],
    "DataDirLost": [False],
    "Starting": [False],
    "JournalUnavailable": [False],
    "InternalError": [],
}


def sample(name: str) -> FeedbackLoopsError:
    error = getattr(errors, name)("what went wrong", *SAMPLES[name])
    assert isinstance(error, FeedbackLoopsError)
    return error


def assert_same(error: FeedbackLoopsError, other: FeedbackLoopsError) -> None:
    assert type(other) is type(error)
    assert (str(other), other.args, vars(other)) == (str(error), error.args, vars(error))


def test_every_class_has_a_sample() -> None:
    """Every error class is covered by these tests."""
    classes = {n for n, c in vars(errors).items() if isinstance(c, type) and issubclass(c, FeedbackLoopsError)}
    assert classes == set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_it_survives_pickling(name: str) -> None:
    """Ray passes on the same error, with its attributes."""
    assert_same(sample(name), pickle.loads(pickle.dumps(sample(name))))
    assert_same(sample(name), copy.copy(sample(name)))


@pytest.mark.parametrize("name", SAMPLES)
def test_it_survives_the_wire(name: str) -> None:
    """The gateway's socket passes on the same error, through JSON too."""
    wire = json.loads(json.dumps(to_wire(sample(name))))
    assert_same(sample(name), from_wire(*wire))


def test_an_unknown_class_becomes_the_root() -> None:
    """An error of a newer peer is still a domain error, with its text."""
    error = from_wire("FromTheFuture", ["what went wrong", 1])
    assert type(error) is FeedbackLoopsError
    assert str(error) == "what went wrong"

"""Table of problems with their limits, and the page of each problem."""

from __future__ import annotations

import pytest

from api.http.problem_types import PROBLEM_TYPES, TOO_LARGE, ProblemType
from api.openapi.problem_table import LIMITS, limit_of, problems_section
from tests.unit.api.fake_api import ADMIN_KEY, Api, run


def rows() -> list[str]:
    return "\n".join(problems_section("{type}")).splitlines()[4:]


def test_the_table_has_every_problem_once_and_429_as_none() -> None:
    """Each row has the problem's status and its limits, or none; nothing is answered 429."""
    kinds = [f"| {kind.type} | {kind.status} | {kind.title} | {limit_of(kind)} |" for kind in PROBLEM_TYPES.values()]

    (too_many,) = set(rows()) - set(kinds)
    assert too_many.startswith("| none | 429 |")
    assert len(rows()) == len(kinds) + 1
    assert 429 not in {kind.status for kind in PROBLEM_TYPES.values()}


@pytest.mark.parametrize("kind", LIMITS, ids=lambda kind: kind.slug)
def test_the_page_of_a_problem_names_its_limits(kind: ProblemType) -> None:
    """The page that `type` links to shows the limits that the problem enforces."""

    async def scenario() -> str:
        async with Api() as api:
            return (await api.http.get(kind.type)).text

    assert LIMITS[kind] in run(scenario())


def test_the_limit_of_a_body_is_the_one_that_holds() -> None:
    """A body of the documented size is read; one that is a byte longer is too large."""

    async def scenario() -> list[int]:
        async with Api() as api:
            sizes = (256 * 1024, 256 * 1024 + 1)
            bodies = [b'{"name": "x"}'.ljust(size) for size in sizes]
            headers = {"Content-Type": "application/json"}
            answers = [
                await api.call("POST", "/v1/accounts", key=ADMIN_KEY, content=body, headers=headers) for body in bodies
            ]
            return [answer.status_code for answer in answers]

    assert "256 KiB for a body" in LIMITS[TOO_LARGE]
    assert run(scenario()) == [201, 413]

"""Routes of front ends."""

from __future__ import annotations

import pytest

from tests.unit.api.fake_api import ADMIN_KEY, Api, problem, run

FRONT_ENDS = "/v1/front-ends"


def test_front_ends_are_listed_with_what_holds_them_up() -> None:
    """The operator sees for which one erasures wait."""

    async def scenario() -> None:
        async with Api() as api:
            (shown,) = (await api.call("GET", FRONT_ENDS, key=ADMIN_KEY)).json()["data"]
            assert (shown["id"], shown["name"], shown["erasures"], shown["problem"]) == ("5c0e", "edge-1", 0, None)
            api.client.front_end_problem = "its disk is full"
            (shown,) = (await api.call("GET", FRONT_ENDS, key=ADMIN_KEY)).json()["data"]
            assert shown["problem"] == "its disk is full"

    run(scenario())


def test_a_front_end_is_forgotten() -> None:
    """Only a known one."""

    async def scenario() -> None:
        async with Api() as api:
            assert (await api.call("DELETE", f"{FRONT_ENDS}/5c0e", key=ADMIN_KEY)).status_code == 204
            problem(await api.call("DELETE", f"{FRONT_ENDS}/5c0e", key=ADMIN_KEY), 404, "not-found")

    run(scenario())


@pytest.mark.parametrize(("method", "path"), [("GET", FRONT_ENDS), ("DELETE", f"{FRONT_ENDS}/5c0e")])
def test_an_accounts_key_is_not_enough(method: str, path: str) -> None:
    """Only the operator may read or forget them."""

    async def scenario() -> None:
        async with Api() as api:
            problem(await api.call(method, path), 401, "unauthorized")
            assert len(api.client.front_ends) == 1

    run(scenario())

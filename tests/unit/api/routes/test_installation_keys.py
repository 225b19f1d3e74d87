"""Routes of the installation's keys."""

from __future__ import annotations

import pytest

from tests.unit.api.fake_api import ADMIN_KEY, Api, problem, run

KEYS = "/v1/installation-keys"


def test_the_state_of_the_keys_is_shown() -> None:
    """Fingerprints, times and front ends, and no key."""

    async def scenario() -> None:
        async with Api() as api:
            shown = (await api.call("GET", KEYS, key=ADMIN_KEY)).json()
            assert (shown["installation"], shown["master_key"]) == ("00112233445566aa", "a" * 16)
            assert [(key["id"], key["state"], key["signed_until"]) for key in shown["keys"]] == [(1, "signs", None)]
            assert shown["front_ends"][0]["name"] == "edge-1"

    run(scenario())


def test_keys_are_rotated_and_dropped() -> None:
    """The key that signs cannot be dropped; an old one can, after its use was read."""

    async def scenario() -> None:
        async with Api() as api:
            rotated = (await api.call("POST", f"{KEYS}/rotate", key=ADMIN_KEY, json={})).json()
            assert [key["state"] for key in rotated["keys"]] == ["reads", "signs"]
            use = (await api.call("GET", f"{KEYS}/1", key=ADMIN_KEY)).json()
            assert use == {"messages": 12, "passwords": 3, "secrets": 0, "headers": 1}
            problem(await api.call("DELETE", f"{KEYS}/2", key=ADMIN_KEY), 409, "conflict")
            left = (await api.call("DELETE", f"{KEYS}/1", key=ADMIN_KEY)).json()
            assert [key["id"] for key in left["keys"]] == [2]
            for wrong in ("1", "x", "-1", "99999"):
                problem(await api.call("DELETE", f"{KEYS}/{wrong}", key=ADMIN_KEY), 404, "not-found")
            master = (await api.call("POST", f"{KEYS}/rotate-master", key=ADMIN_KEY, json={})).json()
            assert master["master_key"] == "b" * 16

    run(scenario())


@pytest.mark.parametrize(("method", "path"), [("GET", KEYS), ("POST", f"{KEYS}/rotate"), ("DELETE", f"{KEYS}/1")])
def test_an_accounts_key_is_not_enough(method: str, path: str) -> None:
    """Only the operator may read or change them."""

    async def scenario() -> None:
        async with Api() as api:
            problem(await api.call(method, path), 401, "unauthorized")
            assert api.client.key_ids == [1]

    run(scenario())

"""API keys over the API: created, listed, revoked."""

from __future__ import annotations

from tests.unit.api.fake_api import Api, pointers, problem, run

KEYS = "/v1/api-keys"


def test_a_key_replaces_another() -> None:
    """The new key is shown once and opens the account; the old one is useless once it is revoked."""

    async def scenario() -> None:
        async with Api() as api:
            (old,) = (await api.call("GET", KEYS)).json()["data"]
            made = (await api.call("POST", KEYS, json={"name": "Shop"})).json()
            assert made["name"] == "Shop"
            assert made["last_used_at"] is None
            listed = (await api.call("GET", KEYS, key=made["api_key"])).json()["data"]
            assert {key["id"] for key in listed} == {old["id"], made["id"]}
            assert all("api_key" not in key for key in listed)
            assert (await api.call("DELETE", f"{KEYS}/{old['id']}", key=made["api_key"])).status_code == 204
            assert len((await api.call("GET", KEYS, key=made["api_key"])).json()["data"]) == 1
            problem(await api.call("DELETE", f"{KEYS}/{old['id']}", key=made["api_key"]), 404, "not-found")

    run(scenario())


def test_a_key_needs_a_name() -> None:
    """A name without a visible character is refused."""

    async def scenario() -> None:
        async with Api() as api:
            for name in ("", "a\nb", "x" * 201):
                answer = await api.call("POST", KEYS, json={"name": name})
                assert pointers(problem(answer, 422, "invalid-input")) == ["/name"]

    run(scenario())


def test_another_account_s_key_is_not_found() -> None:
    """It can be neither listed nor revoked."""

    async def scenario() -> None:
        async with Api() as api:
            (own,) = (await api.call("GET", KEYS)).json()["data"]
            other = await api.new_key("Other")
            assert own["id"] not in {key["id"] for key in (await api.call("GET", KEYS, key=other)).json()["data"]}
            problem(await api.call("DELETE", f"{KEYS}/{own['id']}", key=other), 404, "not-found")

    run(scenario())

"""Users over the API, which needs the admin key."""

from __future__ import annotations

from actors.commands.users import SignIn
from tests.unit.api.fake_api import ADMIN_KEY, Api, pointers, problem, run

USERS = "/v1/users"


def test_a_user_is_created_with_a_password_shown_once() -> None:
    """The account is new or exists; the password signs in."""

    async def scenario() -> None:
        async with Api() as api:
            body = {"email": "Ann@example.com", "account_name": "Acme"}
            ann = (await api.call("POST", USERS, key=ADMIN_KEY, json=body)).json()
            assert (ann["email"], ann["account_name"]) == ("ann@example.com", "Acme")
            body = {"email": "bob@example.com", "account": ann["account"]}
            bob = await api.call("POST", USERS, key=ADMIN_KEY, json=body)
            assert (bob.status_code, bob.json()["account"]) == (201, ann["account"])
            signed_in = await api.client.call(SignIn(email=ann["email"], password=ann["password"], address=""))
            assert signed_in.token is not None
            listed = (await api.call("GET", USERS, key=ADMIN_KEY)).json()
            assert [user["email"] for user in listed["data"]] == ["ann@example.com", "bob@example.com"]
            assert "password" not in listed["data"][0]

    run(scenario())


def test_an_invalid_user_is_refused() -> None:
    """No account or two, an unknown account, an address in use, and any key but the admin's are refused."""

    async def scenario() -> None:
        async with Api() as api:
            for body in ({"email": "a@b.example"}, {"email": "a@b.example", "account": "x", "account_name": "y"}):
                answer = await api.call("POST", USERS, key=ADMIN_KEY, json=body)
                assert pointers(problem(answer, 422, "invalid-input")) == ["/account"]
            answer = await api.call("POST", USERS, key=ADMIN_KEY, json={"email": "a@b.example", "account": "acc_no"})
            problem(answer, 404, "not-found")
            for status in (201, 409):
                body = {"email": "a@b.example", "account_name": "y"}
                assert (await api.call("POST", USERS, key=ADMIN_KEY, json=body)).status_code == status
            problem(await api.call("POST", USERS, json=body), 401, "unauthorized")
            problem(await api.call("GET", USERS), 401, "unauthorized")

    run(scenario())


def test_a_password_is_reset_and_a_user_removed() -> None:
    """Both end the user's sessions; the last user of an account stays."""

    async def scenario() -> None:
        async with Api() as api:
            body = {"email": "ann@example.com", "account_name": "Acme"}
            ann = (await api.call("POST", USERS, key=ADMIN_KEY, json=body)).json()
            await api.client.call(SignIn(email=ann["email"], password=ann["password"], address=""))
            reset = (await api.call("POST", f"{USERS}/{ann['id']}/password", key=ADMIN_KEY)).json()
            assert reset["password"] != ann["password"]
            assert api.client.sessions == {}
            problem(await api.call("POST", f"{USERS}/usr_no/password", key=ADMIN_KEY), 404, "not-found")
            problem(await api.call("DELETE", f"{USERS}/{ann['id']}", key=ADMIN_KEY), 409, "conflict")
            body = {"email": "bob@example.com", "account": ann["account"]}
            await api.call("POST", USERS, key=ADMIN_KEY, json=body)
            assert (await api.call("DELETE", f"{USERS}/{ann['id']}", key=ADMIN_KEY)).status_code == 204
            assert len(api.client.users) == 1

    run(scenario())

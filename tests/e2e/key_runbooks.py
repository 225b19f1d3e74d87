"""What of an installation still works: links, loop secrets and passwords, for the tests of the runbooks."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any, Final

import httpx

from tests.service import Account, Service, eventually

#: Fields of the sign-in form come from the dashboard's own pages.
_BROWSER: Final = {"Sec-Fetch-Site": "same-origin"}


@dataclass(frozen=True, slots=True)
class Made:
    """Things made at one time: a link, a loop's secret, and a user with a password."""

    account: Account
    link: str
    loop: str
    secret: str
    email: str
    password: str


def make(service: Service, account: Account, name: str) -> Made:
    """Makes one of each."""
    (message,) = account.messages([{"recipient": f"{name}@example.com", "links": ["https://shop.example/"]}])
    (link,) = message["links"].values()
    spec = {"url": "https://example.com/hook", "triggers": ["click"], "headers": {"Authorization": "Bearer s3cret"}}
    loop = account.call("POST", "/v1/feedback-loops", json=spec).json()
    user = {"email": f"{name}@example.com", "account_name": name}
    created = service.http.post("/v1/users", json=user, headers=service.admin).json()
    path = httpx.URL(link).raw_path.decode()
    return Made(account, path, loop["id"], loop["secret"], created["email"], created["password"])


def works(service: Service, made: Made) -> dict[str, Any]:
    """Whether the link redirects, which secrets the loop has, and whether the password opens a session."""
    click = service.http.get(made.link, follow_redirects=False)
    current = made.account.call("GET", f"/v1/feedback-loops/{made.loop}/secret").json()["secret"]
    form = {"email": made.email, "password": made.password}
    signed_in = service.http.post("/dashboard/sign-in", data=form, headers=_BROWSER, follow_redirects=False)
    return {
        "link": click.status_code,
        "secret": "same" if current == made.secret else "new",
        "password": signed_in.status_code == 303,
    }


def signatures(headers: httpx.Headers, body: bytes, secret: str) -> bool:
    """Whether one of the signatures of a POST was made with this secret."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = "v1," + base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    return expected in headers["webhook-signature"].split()


def keys(service: Service) -> dict[str, Any]:
    """The state of the installation's keys."""
    answer = service.http.get("/v1/installation-keys", headers=service.admin)
    assert answer.status_code == 200, answer.text
    status: dict[str, Any] = answer.json()
    return status


def rotate(service: Service, path: str) -> None:
    answer = service.http.post(f"/v1/installation-keys/{path}", json={}, headers=service.admin)
    assert answer.status_code == 200, answer.text


def wait_until_rotated(service: Service) -> dict[str, Any]:
    """Waits until nothing of a rotation is left to do. Returns the state."""

    def done() -> dict[str, Any] | None:
        status = keys(service)
        waits = status["next_master_key"] or status["loops_to_follow"]
        return None if waits or "waits" in {key["state"] for key in status["keys"]} else status

    found: dict[str, Any] = eventually(done, 30, "the rotation is through", 0.3)
    return found

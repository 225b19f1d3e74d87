"""Steps of the runbooks about keys, and what of an installation works: its links, secrets of loops and passwords."""

from __future__ import annotations

import base64
import hashlib
import hmac
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx

from tests.paths import ROOT
from tests.service import Account, Service, eventually

#: Everything works as before.
SAME: Final = {"link": 302, "secret": "same", "password": True}
#: After a rotation of the installation key, loops have a new secret, and nothing else changes.
ROTATED: Final = {"link": 302, "secret": "new", "password": True}
#: After the end of the key that they were made with.
DROPPED: Final = {"link": 404, "secret": "new", "password": False}
#: Fields of the sign-in form come from the dashboard's own pages.
_BROWSER: Final = {"Sec-Fetch-Site": "same-origin"}
_TARGET: Final = "https://shop.example/"


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
    (message,) = account.messages([{"recipient": f"{name}@example.com", "links": [_TARGET]}])
    (link,) = message["links"].values()
    spec = {"url": "https://example.com/hook", "triggers": ["click"], "headers": {"Authorization": "Bearer s3cret"}}
    loop = account.call("POST", "/v1/feedback-loops", json=spec).json()
    user = {"email": f"{name}@example.com", "account_name": name}
    created = service.http.post("/v1/users", json=user, headers=service.admin).json()
    return Made(account, _path_of(link), loop["id"], loop["secret"], created["email"], created["password"])


def _path_of(link: str) -> str:
    return httpx.URL(link).raw_path.decode()


def works(service: Service, made: Made) -> dict[str, Any]:
    """Whether the link redirects, which secrets the loop has, and whether the password opens a session."""
    form = {"email": made.email, "password": made.password}
    signed_in = service.http.post("/dashboard/sign-in", data=form, headers=_BROWSER, follow_redirects=False)
    return _link_and_secret(service, made) | {"password": signed_in.status_code == 303}


def _link_and_secret(service: Service, made: Made) -> dict[str, Any]:
    click = service.http.get(made.link, follow_redirects=False)
    answer = service.http.get(f"/v1/feedback-loops/{made.loop}/secret", headers=made.account.headers)
    secret = answer.json().get("secret")
    return {"link": click.status_code, "secret": "same" if secret == made.secret else "new"}


def all_work(services: Iterable[Service], expected: Iterable[tuple[Made, dict[str, Any]]]) -> None:
    """Checks the table of a runbook on each front end, once that has followed the last change.

    A password is only tried then: too many attempts would be refused.
    """
    for service in services:
        for made, row in expected:
            follows = partial(_follows, service, made, row)
            eventually(follows, 30, f"{made.email} is {row} at {service.http.base_url}", 0.2)
            assert works(service, made) == row, made.email


def _follows(service: Service, made: Made, row: dict[str, Any]) -> bool:
    return _link_and_secret(service, made).items() <= row.items()


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


def wait_for_new_links(service: Service, former: Made) -> None:
    """Waits until a front end signs with another key: within a second after its gateway.

    The first character of a token stands for its key.
    """

    def is_new() -> bool:
        (message,) = Account(service, former.account.key).messages([{"recipient": former.email, "links": [_TARGET]}])
        (link,) = message["links"].values()
        return _path_of(link)[:4] != former.link[:4]

    eventually(is_new, 30, "new links have another key", 0.2)


def run_command(service: Service, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs `feedback-loops` as the operator of this service does. Its result may be a failure."""
    command = [sys.executable, "-m", "api.cli.main", *arguments]
    url = str(service.http.base_url)
    env = {"PATH": "/usr/bin:/bin", **service.environment, "FEEDBACK_LOOPS_URL": url, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60)


def give_up_lost_keys(service: Service) -> None:
    """The step of a lost master key, with every front end stopped."""
    done = run_command(service, "rekey", "--data-dir", str(service.data_dir), "--yes")
    assert done.returncode == 0, done.stderr


def lose_data_directory(service: Service, made: Made) -> None:
    """Deletes the directory of a front end whose store is intact, and starts it without, and with its master key."""
    service.terminate()
    shutil.rmtree(service.data_dir)
    master_key = service.environment.pop("FEEDBACK_LOOPS_MASTER_KEY")
    try:
        service.start(wait=False)
        eventually(lambda: "wrapped by the master key" in service.problems(), 40, "the missing key is named")
        assert service.http.get(made.link, follow_redirects=False).status_code == 503
        service.terminate()
    finally:
        service.environment["FEEDBACK_LOOPS_MASTER_KEY"] = master_key
    service.start()


def another_installation(service: Service, directory: Path, store: str) -> tuple[Path, Made, str]:
    """A stopped service with the master key of this one: its directory, what was made there, and its fingerprint."""
    master_key = service.environment["FEEDBACK_LOOPS_MASTER_KEY"]
    other = Service(directory, FEEDBACK_LOOPS_STORE=store, FEEDBACK_LOOPS_MASTER_KEY=master_key)
    try:
        other.start()
        return directory, make(other, other.account(), "foreign"), keys(other)["installation"]
    finally:
        other.terminate()
        other.end()


@contextmanager
def wrong_volume(service: Service, wrong: Path) -> Iterator[None]:
    """The data directory of another installation, instead of this front end's; the right one again at the end."""
    right = service.data_dir.with_name("right")
    service.terminate()
    service.data_dir.rename(right)
    wrong.rename(service.data_dir)
    service.start(wait=False)
    try:
        yield
    finally:
        service.terminate()
        service.data_dir.rename(wrong)
        right.rename(service.data_dir)
        service.start()


def wrong_volume_is_noticed(service: Service, made: Made, foreign: Made, fingerprints: Iterable[str]) -> None:
    """Not ready, both are named; links of the directory's installation redirect, others may be right elsewhere: 503."""
    eventually(lambda: all(each in service.problems() for each in fingerprints), 40, "both are named")
    assert service.http.get("/readyz").status_code == 503
    unknown = partial(service.http.get, made.link, follow_redirects=False)
    eventually(lambda: unknown().status_code == 503, 10, "the front end knows of it, too")
    assert unknown().headers["retry-after"] == "5"
    assert service.http.get(foreign.link, follow_redirects=False).status_code == 302

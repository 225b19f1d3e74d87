"""The proxy configurations in the documentation work in front of a real service."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.docs.snippets import snippets
from tests.e2e.test_main_job import BROWSER, path_of, register
from tests.paths import ROOT
from tests.ports import free_port
from tests.service import Service, eventually

PAGE = ROOT / "docs/how-to/behind-a-proxy.md"
#: An address that is not the trusted proxy's, and that may not use the API.
STRANGER = "127.0.0.5"
FORGED = {"X-Forwarded-For": "203.0.113.9"}
#: The configuration around the page's `server`. nginx only writes to its folder.
_NGINX = """\
daemon off;
pid nginx.pid;
error_log stderr;
{user}
events {{}}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
{server}
}}
"""

Start = Callable[[str, int, Path], list[str]]


def _block(sign: str, service_port: int) -> str:
    (block,) = (s for s in snippets(PAGE) if sign in s.text)
    return block.text.replace("8080", str(service_port))


def nginx(server: str, port: int, folder: Path) -> list[str]:
    """Returns the command that runs nginx with the page's configuration in `folder`, with a test certificate."""
    certificate = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    files = ["-keyout", "track.example.com.key", "-out", "track.example.com.pem", "-subj", "/CN=track.example.com"]
    subprocess.run([*certificate, *files], cwd=folder, check=True, capture_output=True)
    server = server.replace("listen 443", f"listen 127.0.0.1:{port}").replace("/etc/ssl", str(folder))
    user = "user root;" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(_NGINX.format(user=user, server=server))
    return ["nginx", "-p", str(folder), "-c", "nginx.conf"]


def caddy(server: str, port: int, folder: Path) -> list[str]:
    """Returns the command that runs Caddy with the page's configuration in `folder`.

    Without TLS, because Caddy would request a real certificate.
    """
    caddyfile = server.replace("track.example.com {", f"http://127.0.0.1:{port} {{")
    (folder / "Caddyfile").write_text(f"{{\n\tadmin off\n}}\n{caddyfile}")
    return ["caddy", "run", "--config", "Caddyfile", "--adapter", "caddyfile"]


@contextmanager
def running(command: list[str], port: int, folder: Path) -> Iterator[None]:
    """Runs the proxy, and waits until it listens."""
    environment = os.environ | {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
    log = folder / "proxy.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
    try:
        eventually(lambda: _listens(port), 10, "the proxy listens")
        yield
    except AssertionError:
        print(log.read_text())
        raise
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/", trust_env=False, verify=False)
    except httpx.ConnectError:
        return False
    except httpx.HTTPError:
        pass
    return True


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with the page's options."""
    running = Service(
        tmp_path_factory.mktemp("service") / "data",
        FEEDBACK_LOOPS_PUBLIC_URL="https://track.example.com",
        FEEDBACK_LOOPS_TRUSTED_PROXIES="127.0.0.1/32",
    )
    try:
        yield running.start()
    finally:
        running.end()


def _if_installed(start: Start, *of_page: str) -> Any:
    name = start.__name__
    reason = f"{name} is not installed"
    return pytest.param(start, *of_page, marks=pytest.mark.skipif(shutil.which(name) is None, reason=reason), id=name)


@pytest.mark.ray
@pytest.mark.parametrize(
    ("start", "scheme", "sign"), [_if_installed(nginx, "https", "upstream"), _if_installed(caddy, "http", "@tracking")]
)
def test_a_page_s_proxy(start: Start, scheme: str, sign: str, service: Service, tmp_path: Path) -> None:
    """Hits pass with the client's real address and with links of any length. Only permitted addresses reach the API."""
    account, port = service.account(), free_port()
    target = "https://shop.example/" + os.urandom(4085).hex()
    in_greek = "https://shop.example/" + "\u03b1" * 1361
    message = register(account, links=[target, in_greek])
    key = {"Authorization": f"Bearer {account.key}"}
    base = f"{scheme}://127.0.0.1:{port}"
    stranger = httpx.HTTPTransport(local_address=STRANGER, verify=False)

    with (
        running(start(_block(sign, service.port), port, tmp_path), port, tmp_path),
        httpx.Client(base_url=base, transport=stranger) as outside,
        httpx.Client(base_url=base, verify=False, trust_env=False) as inside,
    ):
        opened = outside.get(path_of(message["open_url"]), headers=BROWSER | FORGED)
        clicked = outside.get(path_of(message["links"][target]), headers=BROWSER | FORGED)
        assert (opened.status_code, opened.headers["content-type"]) == (200, "image/gif")
        assert (clicked.status_code, clicked.headers.get("location")) == (302, target)
        clicked = outside.get(path_of(message["links"][in_greek]), headers=BROWSER | FORGED)
        assert (clicked.status_code, clicked.headers.get("location")) == (302, in_greek.replace("\u03b1", "%CE%B1"))
        assert outside.get("/o/x").text == _answer_to_a_bad_link()
        assert outside.get("/v1/events", headers=key).status_code == 403
        lines = b'{"recipient": "john@example.com", "mailing": "%b"}\n' % (b"m" * 150) * 12_000
        sent = inside.post(
            "/v1/messages", content=lines, headers=key | {"Content-Type": "application/x-ndjson"}, timeout=60
        )
        assert (sent.status_code, sent.text.count("\n")) == (201, 12_000), sent.text[:500]

        _check_session(service, inside, opened)

        def addresses() -> list[str]:
            events = inside.get("/v1/events", headers=key).json()["data"]
            return [event["fields"]["ip"] for event in events]

        eventually(lambda: len(addresses()) == 3, 20, "all hits are events")
        assert addresses() == [STRANGER] * 3


def _check_session(service: Service, inside: httpx.Client, tracked: httpx.Response) -> None:
    """Through the proxy, the session's cookie is for HTTPS only and pages have HSTS; without it, neither."""
    email = f"{uuid.uuid4().hex}@example.com"
    made = service.http.post("/v1/users", json={"email": email, "account_name": "Shop"}, headers=service.admin)
    assert made.status_code == 201, made.text
    user = {"email": email, "password": made.json()["password"]}
    for client, is_secure in ((inside, True), (service.http, False)):
        origin = {"Origin": str(client.base_url).rstrip("/"), "Sec-Fetch-Site": "same-origin"}
        answer = client.post("/dashboard/sign-in", data=user, headers=origin)
        assert answer.status_code == 303, answer.text
        assert ("; Secure" in answer.headers["set-cookie"]) is is_secure
        assert ("strict-transport-security" in answer.headers) is is_secure
    assert "strict-transport-security" not in tracked.headers


def _answer_to_a_bad_link() -> str:
    """Returns the answer to an invalid link, from the page about tracking domains."""
    (answer,) = (s.text for s in snippets(ROOT / "docs/how-to/tracking-domain.md") if "is incomplete" in s.text)
    return answer

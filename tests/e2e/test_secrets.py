"""Where secrets are found: only where the table in `docs/explanation/security.md` says so.

Searches the memory, arguments and environment of all processes of a running service, Ray's included, and its files.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil
import pytest

from actors.installation.key_file import KeyFile
from actors.installation.wrapping import unwrapped
from tests.e2e.process_memory import memory
from tests.paths import ROOT
from tests.postgres import running_server
from tests.service import ROLES, Service, Sink, eventually

MASTER: Final = "9f" * 3 + "1d2c3b4a59687786" * 3 + "7c" * 5
ADMIN: Final = "admin-key-that-only-two-processes-need"
PASSWORD: Final = "a-password-in-the-stores-url"
#: Words of the table's last column, and the roles (`tests.service.ROLES`) that they stand for.
WORDS: Final = {
    "serve": {"serve"},
    "gateway": {"gateway"},
    "front end": {"front"},
    "actors": {"ledger", "supervisor", "enricher", "loop", "host"},
    "the process that holds the loop": {"loop", "host"},
}


def allowed() -> dict[str, set[str]]:
    """The roles whose memory may have each secret, from the table."""
    text = (ROOT / "docs/explanation/security.md").read_text()
    table = text.partition("<!-- secrets")[2].partition("\n\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines()[2:]]
    assert len(rows) == 5, "the table has moved"
    return {name: set().union(*(roles for word, roles in WORDS.items() if word in where)) for name, _, where in rows}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with running_server() as server:
        url = server.new_database().replace("://postgres@", f"://postgres:{PASSWORD}@")
        assert PASSWORD in url
        made = Service(
            tmp_path / "data",
            FEEDBACK_LOOPS_STORE=url,
            FEEDBACK_LOOPS_MASTER_KEY=MASTER,
            FEEDBACK_LOOPS_ADMIN_KEY=ADMIN,
        )
        try:
            yield made.start()
        finally:
            made.end()


def role_of(process: psutil.Process) -> str:
    line = " ".join(process.cmdline())
    return next((role for role, sign in ROLES.items() if sign in line), line[:80])


def test_secrets_are_only_where_the_table_says(service: Service, sink: Sink) -> None:
    """A process without a right to a secret has no copy of it, as text or as bytes; nor has any file or environment."""
    answer = service.http.post("/v1/accounts", json={"name": "Test"}, headers=service.admin)
    headers = {"Authorization": f"Bearer {answer.json()['api_key']}"}
    spec = {"url": sink.url, "triggers": ["click"]}
    loop = service.http.post("/v1/feedback-loops", json=spec, headers=headers).json()
    content = loop["verification"]["file_content"]
    sink.place(loop["verification"]["file_name"], content)
    service.http.post(f"/v1/feedback-loops/{loop['id']}/verify", json={}, headers=headers).raise_for_status()
    message = {"recipient": "a@b.example", "links": ["https://shop.example/products?n=0"]}
    links = service.http.post("/v1/messages", json=message, headers=headers).json()["links"]
    service.http.get(next(iter(links.values())), follow_redirects=False)
    eventually(lambda: sink.stats()["unique"] >= 1, 20, "the click has been delivered")

    _, ring = KeyFile(service.data_dir).read()
    assert ring is not None
    (installation,) = unwrapped(ring, [bytes.fromhex(MASTER)]).keys.values()
    secrets = {
        "master key": [MASTER.encode(), bytes.fromhex(MASTER)],
        "installation key": [installation, installation.hex().encode()],
        "admin key": [ADMIN.encode()],
        "the store's URL": [PASSWORD.encode()],
        "loop secret": [loop["secret"].encode(), b64decode(loop["secret"].removeprefix("whsec_"))],
    }
    may = allowed()
    assert set(may) == set(secrets)

    eventually(lambda: service.processes("loop"), 20, "the loop has a process of its own")
    seen: dict[str, set[str]] = {name: set() for name in secrets}
    processes = {}
    for process in service.tree():
        has = {name for part in memory(process.pid) for name, forms in secrets.items() if any(f in part for f in forms)}
        processes[process.pid] = role = role_of(process)  # only now: an idle worker may have become an actor meanwhile
        for name in has:
            seen[name].add(role)
    assert {"gcs", "raylet", "gateway", "front", "ledger", "supervisor", "enricher"} <= set(processes.values())
    assert {name: roles - may[name] for name, roles in seen.items() if roles - may[name]} == {}
    # The search finds what is there.
    assert seen["master key"] >= {"gateway", "front"}
    assert seen["the store's URL"] >= {"gateway", "ledger"}
    assert seen["loop secret"] & {"loop", "host"}

    shown = {
        role: Path(f"/proc/{pid}/environ").read_bytes() + Path(f"/proc/{pid}/cmdline").read_bytes()
        for pid, role in processes.items()
        if role != "serve"
    }
    files = {path: path.read_bytes() for path in service.data_dir.rglob("*") if path.is_file()}
    files[service.log] = service.log.read_bytes()
    for where, text in (shown | {str(path): data for path, data in files.items()}).items():
        found = [name for name, forms in secrets.items() if any(form in text for form in forms)]
        assert not found, f"{where} has {found}"

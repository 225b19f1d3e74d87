"""PHP script as a handler, the most common kind, on PHP's built-in server."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.test_main_job import BROWSER, path_of, register
from tests.ports import free_port
from tests.service import Account, Service, eventually

pytestmark = [
    pytest.mark.php,
    pytest.mark.skipif(shutil.which("php") is None, reason="PHP is not installed"),
]

SCRIPT = """<?php
file_put_contents(__DIR__ . '/got.part', json_encode($_POST, JSON_THROW_ON_ERROR));
rename(__DIR__ . '/got.part', __DIR__ . '/got.json');
echo 'thank you';
"""


@pytest.fixture
def php(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """PHP's server on a folder with the script: its base URL and the folder."""
    (tmp_path / "script.php").write_text(SCRIPT)
    port = free_port()
    server = subprocess.Popen(
        ["php", "-S", f"127.0.0.1:{port}", "-t", str(tmp_path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    base = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            return httpx.get(base, trust_env=False, verify=False).status_code in {200, 404}
        except httpx.HTTPError:
            return False

    try:
        eventually(answers, 10, "PHP's server answers")
        yield base, tmp_path
    finally:
        server.kill()
        server.wait()


def test_php_reads_lists_and_maps_as_arrays(service: Service, account: Account, php: tuple[str, Path]) -> None:
    """$_POST has tags, fields and interests as arrays, and everything else as strings."""
    base, folder = php
    created = account.call("POST", "/v1/feedback-loops", json={"url": f"{base}/script.php", "triggers": ["click"]})
    loop = created.json()
    (folder / loop["verification"]["file_name"]).write_text(loop["verification"]["file_content"])
    assert account.call("POST", f"/v1/feedback-loops/{loop['id']}/verify").status_code == 200
    (folder / loop["verification"]["file_name"]).unlink()
    data = {"fields": {"name": "Zoë & co", "score": 1.5, "address": {"city": "Amsterdam"}}, "interests": ["ham", "jam"]}
    account.call("PUT", "/v1/databases/1/profiles/123", json=data)
    message = register(
        account, tags=["a b", "c[]d"], profile={"database": "1", "id": "123"}, links=["https://shop.example/?q=1&r=[2]"]
    )
    (tracked,) = message["links"].values()

    service.http.get(path_of(tracked), headers=BROWSER)
    eventually((folder / "got.json").exists, 20, "PHP got the POST")
    post = json.loads((folder / "got.json").read_text())

    assert post["type"] == "click"
    assert post["original"] == "https://shop.example/?q=1&r=[2]"
    assert post["tags"] == ["a b", "c[]d"]
    assert post["interests"] == ["ham", "jam"]
    assert post["fields"] == {"name": "Zoë & co", "score": "1.5", "address": {"city": "Amsterdam"}}

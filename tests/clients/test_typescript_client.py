"""A generated TypeScript client: typed, and usable for the calls of a shop. Needs Node and npm's registry."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

import pytest

from domain.verification import file_name
from tests.clients import page
from tests.unit.api.fake_api import Api

TEST: Final = "test_typescript_client.py"
#: Errors of npm when it cannot reach its registry.
OFFLINE: Final = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")
pytestmark = [
    pytest.mark.timeout(200),
    pytest.mark.skipif(not (shutil.which("node") and shutil.which("npm")), reason="node or npm is not installed"),
]


@pytest.fixture(scope="module")
def client(folder: Path) -> Path:
    """The folder with the generated types and the page's program."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(Path(__file__).with_name(name), folder)
    try:
        page.run("npm ci --no-audit --no-fund --ignore-scripts --prefer-offline", folder)
    except AssertionError as exc:
        if any(code in str(exc) for code in OFFLINE):
            pytest.skip("npm's registry cannot be reached")
        raise
    page.run(page.block(TEST, "npx"), folder)
    (folder / "shop.ts").write_text(page.block(TEST, "import") + page.block(TEST, "const lines"))
    return folder


def test_the_client_creates_registers_reports_and_lists(client: Path) -> None:
    """The page's programs compile under strict rules, and each call gets the API's answer."""
    compiler = "npx tsc --strict --skipLibCheck --target es2022 --module esnext --moduleResolution bundler"
    page.run(f"{compiler} shop.ts", client)

    async def use(api: Api, environment: dict[str, str]) -> None:
        lines = await page.run_program(["node", "shop.js"], client, environment)

        ((loop_id, (_, loop)),) = api.client.loops.items()
        assert lines[0] == f"{loop_id} unverified {file_name(loop.verification_token)}"
        assert lines[1].startswith("https://t.example/c/")
        assert lines[2:4] == ["1", "[ 'order-1' ]"]
        assert "".join(lines[4:-2]).replace(" ", "") == "[['failure','john@example.com'],['click','john@example.com']]"
        assert lines[-2:] == ["registered", "422"]
        page.assert_reported(api, b"No such user")

    page.with_api(use)

"""Fixtures of the generated clients: a folder with the OpenAPI document."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients import page


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the document, fetched as the page does."""
    made = tmp_path_factory.mktemp("client")
    command = page.block("conftest.py", "curl")

    async def fetch(_api: object, environment: dict[str, str]) -> None:
        here = command.replace("http://127.0.0.1:8080", environment["FEEDBACK_LOOPS_URL"])
        await page.run_program(here.split(), made, {})

    page.with_api(fetch)
    return made

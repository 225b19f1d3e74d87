"""Commands and programs of the page on generated clients, run against the API on a fake of the actors."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from actors.commands.events import EventView
from api.http.connection_limits import LimitedHttpProtocol
from tests.docs.snippets import snippets
from tests.paths import ROOT
from tests.unit.api.fake_api import NOW_MS, Api
from tests.unit.api.http.fake_server import App, serve

PAGE: Final = ROOT / "docs/how-to/generate-a-client.md"
#: The system's programs, not the project's: openapi-python-client runs a `ruff` that it finds, with a different result
#: for each version.
_PATH: Final = "/usr/local/bin:/usr/bin:/bin"
TIMEOUT_S: Final = 100.0
#: The events that the API has, by trigger.
EVENTS: Final[dict[str, dict[str, Any]]] = {
    "failure": {"recipient": "john@example.com", "id": "order-1", "code": "550"},
    "click": {"recipient": "john@example.com", "id": "order-1", "original": "https://shop.example/"},
}

Use = Callable[[Api, dict[str, str]], Awaitable[None]]


def blocks(test: str, starts_with: str) -> list[str]:
    """The blocks of the page that this file tests, of those that begin with this text."""
    found = [snippet.text for snippet in snippets(PAGE) if snippet.rest == f"tests/clients/{test}"]
    return [text for text in found if text.startswith(starts_with)]


def block(test: str, starts_with: str) -> str:
    """The only block of the page that begins with this text."""
    (found,) = blocks(test, starts_with)
    return found


def run(command: str, folder: Path) -> str:
    """Runs a command of the page, and returns its output. Raises `AssertionError` if it fails."""
    name, _, arguments = command.partition(" ")
    own = Path(sys.executable).with_name(name)
    ended = subprocess.run(
        f"{own if own.exists() else name} {arguments}",
        shell=True,
        cwd=folder,
        env={"PATH": _PATH, "HOME": os.environ.get("HOME", "/")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert ended.returncode == 0, f"{command}\n{ended.stdout}"
    return ended.stdout


async def run_program(command: list[str], folder: Path, environment: dict[str, str]) -> list[str]:
    """Runs a program of the page while the API answers it, and returns its lines of output."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env={"PATH": _PATH, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    async with asyncio.timeout(TIMEOUT_S):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return output.decode().splitlines()


def with_api(use: Use) -> None:
    """Calls `use` with the API, on a free port of this machine, and the variables that the page's programs read."""
    api = Api()
    api.client.events = [
        EventView(
            id=f"evt_{trigger}",
            type=trigger,
            time_ms=NOW_MS,
            fields=msgspec.Raw(msgspec.json.encode({"type": trigger, **fields})),
        )
        for trigger, fields in EVENTS.items()
    ]

    async def scenario(app: App, _: object) -> None:
        async with api:
            await use(
                api,
                {"FEEDBACK_LOOPS_URL": f"http://127.0.0.1:{app.port}", "FEEDBACK_LOOPS_API_KEY": api.key},
            )

    serve(scenario, LimitedHttpProtocol, api.app)


def assert_reported(api: Api, *texts: bytes) -> None:
    """Checks that the journal has one report with each of these texts, in order."""
    assert len(api.journal.reports) == len(texts)
    assert all(text in report for text, report in zip(texts, api.journal.reports, strict=True)), api.journal.reports

"""Lines of an export while pages cannot be read."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from actors.commands.recipients import ExportPage
from api.recipients import export
from api.tracking.urls import TrackingUrls
from domain.errors import StoreUnavailable
from domain.key_set import KeySet
from domain.tokens import TrackingTokens
from tests.unit.api.sample_person import records

URLS = TrackingUrls("https://t.example", TrackingTokens(KeySet.single(b"k" * 32)))


def exported(failures: int) -> list[Any]:
    """The lines of an export of two pages, the second of which fails some times."""
    made = records()

    async def read_page(cursor: str | None) -> ExportPage:
        nonlocal failures
        assert cursor == "second"
        if failures:
            failures -= 1
            raise StoreUnavailable("the database at 10.0.0.1 is away")
        return ExportPage(records=made[5:], next=None)

    async def lines() -> bytes:
        first = ExportPage(records=made[:5], next="second")
        return b"".join([part async for part in export.export_lines(first, read_page, URLS)])

    return [json.loads(line) for line in asyncio.run(lines()).splitlines()]


def test_a_page_that_cannot_be_read_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart of a part of the service does not end the export."""
    monkeypatch.setattr(export, "PAUSE_S", 0.0)

    assert exported(export.TRIES - 1)[-1] == {"record": "end", "lines": len(records())}


def test_an_export_that_cannot_go_on_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line is a problem, without details of the store."""
    monkeypatch.setattr(export, "PAUSE_S", 0.0)
    *lines, last = exported(export.TRIES)

    assert len(lines) == 5
    assert (last["record"], last["status"], last["type"]) == ("problem", 503, "/problems/store-unavailable")
    assert "10.0.0.1" not in json.dumps(last)

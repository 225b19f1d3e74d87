"""The service's part about making feedback loops, on a real SQLite ledger."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from actors.application.service import ApplicationService
from actors.commands.loops import CreateLoop, Loop
from domain.errors import Conflict
from domain.loop_settings import LoopSettings
from tests.application_context import application_context
from tests.contract.ledger_facts import Store
from tests.contract.sqlite_store import sqlite_stores


class Nobody:
    """Allows every address; the loops' actors begin as they are told."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    async def check_url(self, url: str) -> None:
        pass

    async def begin(self, loop_id: str) -> None:
        self.begun.append(loop_id)


def service(store: Store, nobody: Nobody) -> ApplicationService:
    loops = none = cast(Any, nobody)
    return ApplicationService(application_context(store), loops, nobody, passwords=none, problems=none, metrics=none)


def test_requests_that_are_sent_twice_at_once_make_one_loop(tmp_path: Path) -> None:
    """With the same seed both are answered with the one loop that there is; without one each makes its own."""
    with sqlite_stores(tmp_path) as store:
        made = service(store, Nobody())
        account = store.account().view

        def command(seed: str | None) -> CreateLoop:
            return CreateLoop(
                account=account, url="https://x.example/", settings=LoopSettings(triggers=("open",)), seed=seed
            )

        async def make(*seeds: str | None) -> list[Loop]:
            return list(await asyncio.gather(*(made.handle(command(seed)) for seed in seeds)))

        once = asyncio.run(make("a", "a", "a"))
        others = asyncio.run(make(None, None, "b"))

        assert len({loop.id for loop in once}) == 1
        assert len({loop.secret for loop in once}) == 1
        assert len({loop.id for loop in [*once, *others]}) == 4
        assert len(store.reader.list_loops(account.no, 10, None).data) == 4


def test_a_loop_that_was_deleted_is_not_made_again_by_the_same_request(tmp_path: Path) -> None:
    """It says so, in place of a loop that is gone."""
    with sqlite_stores(tmp_path) as store:
        nobody = Nobody()
        made = service(store, nobody)
        account = store.account().view
        command = CreateLoop(
            account=account, url="https://x.example/", settings=LoopSettings(triggers=("open",)), seed="a"
        )
        loop = asyncio.run(made.handle(command))
        assert nobody.begun == [loop.id]
        store.change(loop.id, lambda found: found.delete(store.clock.now_ms()))

        with pytest.raises(Conflict, match="deleted"):
            asyncio.run(made.handle(command))

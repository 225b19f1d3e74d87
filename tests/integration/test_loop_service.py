"""Loop service: creation of feedback loops, on a real SQLite ledger."""

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


class FakeActors:
    """Fake resolver and loop actors: every address is allowed, and every loop starts."""

    def __init__(self) -> None:
        self.begun: list[str] = []

    async def check_url(self, url: str) -> None:
        pass

    async def begin(self, loop_id: str) -> None:
        self.begun.append(loop_id)


def service(store: Store, actors: FakeActors) -> ApplicationService:
    loops = none = cast(Any, actors)
    return ApplicationService(application_context(store), loops, actors, passwords=none, problems=none, metrics=none)


def test_concurrent_repeated_requests_create_one_loop(tmp_path: Path) -> None:
    """Concurrent requests with the same seed get the same loop; requests without a seed each create one."""
    with sqlite_stores(tmp_path) as store:
        made = service(store, FakeActors())
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


def test_a_repeated_request_does_not_recreate_a_deleted_loop(tmp_path: Path) -> None:
    """A repeated request for a deleted loop gets an error with the reason."""
    with sqlite_stores(tmp_path) as store:
        actors = FakeActors()
        made = service(store, actors)
        account = store.account().view
        command = CreateLoop(
            account=account, url="https://x.example/", settings=LoopSettings(triggers=("open",)), seed="a"
        )
        loop = asyncio.run(made.handle(command))
        assert actors.begun == [loop.id]
        store.change(loop.id, lambda found: found.delete(store.clock.now_ms()))

        with pytest.raises(Conflict, match="deleted"):
            asyncio.run(made.handle(command))

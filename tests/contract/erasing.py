"""Erasures on a store of the contract suites, step by step."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any
from uuid import uuid4

from actors.application.erasure_profiles import ErasureChanges, ProfilesAction
from actors.application.event_recorder import EventRecorder
from actors.ledger.erasure import store as rows
from actors.ledger.erasure.port import RequestErasure
from actors.ledger.erasure.runner import Batches
from actors.ledger.erasure.step import ErasureAction
from actors.ledger.erasure.steps.histories import HistoriesStep
from actors.ledger.erasure.steps.messages import MessagesStep
from actors.ledger.people import person_of
from actors.ledger.writer import StoreWriter
from domain.erasure import RunningErasure, person_digest
from tests.contract.ledger_facts import Store
from tests.contract.ledger_profiles_suite import Offers

#: Makes the steps of an erasure.
MakeSteps = Callable[[StoreWriter, EventRecorder, ErasureChanges], Sequence[ErasureAction]]


def profile_steps(writer: StoreWriter, recorder: EventRecorder, changes: ErasureChanges) -> list[ErasureAction]:
    """The steps about messages and profiles; a batch has few rows, so that there are several."""
    store = writer.erasure_store
    return [
        Batches(MessagesStep(lambda: b"k" * 32), store),
        ProfilesAction(store, changes, recorder),
        Batches(HistoriesStep(), store, limit=3),
    ]


class Eraser:
    """Erases people, with some of the steps."""

    def __init__(self, store: Store, steps: MakeSteps = profile_steps, changes: type[Any] = ErasureChanges) -> None:
        writer: Any = store.writer
        self.store = store
        self.loops = Offers()
        self.changes = changes(writer)
        self._access = writer.erasure_store
        self._actions = steps(writer, EventRecorder(self.changes, store.reader, self.loops), self.changes)

    async def request(self, email: str, account_no: int, until_ms: int | None = None) -> str:
        """Requests an erasure, and returns its id."""
        person = person_of(email)
        digest = person_digest(b"k" * 32, person)
        return await self.store.writer.change_erasures(
            RequestErasure(
                id=f"ers_{uuid4().hex}", account_no=account_no, person=person, digest=digest, until_ms=until_ms
            )
        )

    def begin_at(self, id_: str, step: str) -> None:
        """Skips the steps before this one."""
        sql = "UPDATE erasures SET step = $2 WHERE id = $1"
        asyncio.run(self._access.commits.run(lambda cursor: cursor.execute(sql, (id_, step)) and None, 1))

    async def run(self, id_: str) -> dict[str, int]:
        """Does all steps of an erasure. Returns its counts."""
        for action in self._actions:
            while (erasure := self.erasure(id_)).step == action.name:
                if (await action.advance([erasure])).done:
                    break
            else:
                continue
            await self._go_on(id_, action)
        columns = ("messages", "events", "deliveries", "profiles", "mails")
        found = self._access.connection.row(f"SELECT {', '.join(columns)} FROM erasures WHERE id = $1", (id_,))
        return dict(zip(columns, found, strict=True))

    async def _go_on(self, id_: str, action: ErasureAction) -> None:
        number = self._actions.index(action) + 1
        if number < len(self._actions):
            name = self._actions[number].name
            await self._access.commits.run(lambda cursor: rows.go_on(cursor, [self.erasure(id_)], name), 1)

    def erasure(self, id_: str) -> RunningErasure:
        return next(each for each in rows.running(self._access.connection) if each.id == id_)

    def rows(self, sql: str, params: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query, in the dialect of the ledger."""
        found: list[tuple[Any, ...]] = self._access.connection.rows(sql, params)
        return found

    def erase(self, email: str, account_no: int, until_ms: int | None = None) -> dict[str, int]:
        """Erases a person at once. Returns the counts."""

        async def both() -> dict[str, int]:
            return await self.run(await self.request(email, account_no, until_ms))

        return asyncio.run(both())

"""The process that searches mails for an address."""

from __future__ import annotations

import asyncio
import base64
import os
import signal

import pytest

from actors.returned_mail.searcher import AddressSearcher
from actors.returned_mail.worker import WorkerLimits
from domain.errors import Unavailable

JOHN = "john.doe@example.com"
MAIL = "Subject: hi\n\n" + base64.encodebytes(b"for John.Doe@example.com").decode()


def test_texts_and_mails_are_searched() -> None:
    """One process searches all of them, and another one after its end."""

    async def run() -> None:
        searcher = AddressSearcher()
        assert await searcher.finds(JOHN, [], [MAIL])
        assert await searcher.finds(JOHN, ["no", "to=john.doe%40example.com"], ["no"])
        assert not await searcher.finds("jane@example.com", ["john.doe@example.com"], [MAIL])
        assert searcher._process is not None
        first = searcher._process.pid
        os.kill(first, signal.SIGKILL)
        await searcher._process.wait()
        assert await searcher.finds(JOHN, [], [MAIL])
        await searcher.close()

    asyncio.run(run())


def test_possible_addresses_are_listed() -> None:
    """From decoded parts, too; a mail that ends the process has none, so that the other mails are searched."""

    async def run() -> None:
        searcher = AddressSearcher()
        assert JOHN in await searcher.addresses(["hi"], [MAIL])
        assert await searcher.addresses(["john@example.com"], []) == ["john@example.com"]
        await searcher.close()
        hurt = AddressSearcher(WorkerLimits(time_s=0.0001))
        assert await hurt.addresses([], ["x@y.example " * 50_000]) == []
        assert hurt.deaths == 2
        await hurt.close()

    asyncio.run(run())


def test_what_cannot_be_searched_may_have_the_address() -> None:
    """A mail that ends the process does not stop the erasure, and does not survive it."""

    async def run() -> None:
        searcher = AddressSearcher(WorkerLimits(time_s=0.0001))
        assert await searcher.finds("jane@example.com", [], ["x" * 1_000_000])
        assert searcher.deaths == 2
        await searcher.close()

    asyncio.run(run())


def test_a_process_that_does_not_start_is_no_fault_of_the_mail() -> None:
    async def run() -> None:
        with pytest.raises(Unavailable):
            await AddressSearcher(module="actors.returned_mail.no_such_module").finds(JOHN, [], [MAIL])

    asyncio.run(run())

"""Erasures with several front ends, and over a restore: real stores and journals, without Ray."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from actors.application.erasures import ErasureService
from actors.application.front_end_erasures import FrontEndErasureService
from actors.application.key_sync import KeySync
from actors.commands.command import Command
from actors.commands.erasures import EraseRecipient, Erasure, GetErasure
from actors.gateway.erasure_gate import ErasureGate
from actors.installation.erasure_file import FILE, read_erasures
from actors.installation.key_file import KeyFile
from actors.installation.keys import InstallationKeys
from actors.installation.master_key import MasterKeySource
from actors.ledger.erasure.runner import Batches, ErasureRunner
from actors.ledger.erasure.step import ErasureAction
from actors.ledger.erasure.steps.bytes import BytesAction
from actors.ledger.erasure.steps.events import EventsStep
from actors.ledger.erasure.steps.front_ends import FrontEndsAction
from actors.ledger.erasure.steps.mails import MailsAction
from actors.ledger.erasure.steps.messages import MessagesStep
from actors.ledger.erasure.steps.people import PeopleAction
from actors.ledger.factory import LEDGER_FILE, make_byte_clearing, make_key_ring_store
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.writer import SQLiteLedgerWriter
from actors.processes.backup import back_up
from actors.processes.restore import restore
from actors.settings import Settings
from actors.settings.data_dir import DataDir
from api.erasures.files import ErasureFiles
from api.erasures.watch import ErasureWatch
from api.journal.journal import Journal
from api.journal.limits import JournalLimits
from domain.errors import Unavailable
from domain.values import DeliveryState
from tests.application_context import application_context
from tests.contract.erasure_mails_suite import Searcher
from tests.contract.ledger_facts import FakeClock, Store, event
from tests.keys import install

EMAIL = "okapi.zebra4471@kvx-edges.example"
QUICK = JournalLimits(retry_s=0.02, removal_delay_s=0.01, stuck_s=30.0)


class Service:
    """The ledger of a data directory, with the erasures that run next to it."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.settings = Settings.from_env({}, data_dir=str(data_dir))
        clock, path = FakeClock(), data_dir / LEDGER_FILE
        self.writer, self.reader = SQLiteLedgerWriter(path, clock), SQLiteLedgerReader(path, clock)
        store: Any = Store(self.writer, self.reader, clock, list, dict, list, list)  # type: ignore[arg-type]
        self.store: Store = store
        context = application_context(store)
        self._handlers = {
            **ErasureService.handlers.bound_to(ErasureService(context)),
            **FrontEndErasureService.handlers.bound_to(FrontEndErasureService(context)),
        }
        access, key = self.writer.erasure_store, self.reader.digest_key
        actions: list[ErasureAction] = [
            PeopleAction(access, key, Searcher()),
            Batches(MessagesStep(key), access),
            Batches(EventsStep(), access),
            FrontEndsAction(access),
            MailsAction(access, Searcher()),
            BytesAction(access, make_byte_clearing(self.settings), lambda: 0.0),
        ]
        self._runner = ErasureRunner(actions, access)

    async def call(self, command: Command[Any]) -> Any:
        return await self._handlers[type(command)](command)

    async def record_intake(self, entries: list[bytes]) -> None:
        raise AssertionError(entries)

    async def erase(self) -> str:
        erasure: Erasure = await self.call(EraseRecipient(account=None, email=EMAIL))
        return erasure.id

    async def advance(self, id_: str) -> Erasure:
        """Does everything that can be done now."""
        for _ in range(10):
            while await self._runner.advance():
                pass
        shown: Erasure = await self.call(GetErasure(account=None, erasure_id=id_))
        return shown

    async def close(self) -> None:
        self.reader.close()
        await self.writer.close()


class Edge:
    """A front end with a data directory of its own."""

    def __init__(self, service: Service, folder: Path, elsewhere: Path | None = None) -> None:
        self.journal = Journal.open(folder / "journal", 1 << 24, QUICK)
        files = ErasureFiles(folder, elsewhere)
        self.watch = ErasureWatch(service, self.journal, KeyFile(folder), files)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory with keys and an empty ledger."""
    with DataDir.open(tmp_path / "data") as made:
        made.init()
        install(tmp_path / "data")
    join(tmp_path / "data", tmp_path / "data")
    return tmp_path / "data"


def join(folder: Path, store: Path) -> None:
    """What the gateway of a front end does when it starts: confirms its keys."""
    own = Settings.from_env({}, data_dir=str(folder))
    keys = InstallationKeys(MasterKeySource.of(own))
    key_rings = make_key_ring_store(Settings.from_env({}, data_dir=str(store)))
    asyncio.run(KeySync(keys, KeyFile(folder), key_rings, FakeClock()).refresh())


def files_with(folder: Path, text: str) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


def person(service: Service) -> None:
    """A person with a message, an event and a pending delivery."""
    store = service.store
    tenant = store.account()
    loop = store.active_loop(tenant)
    store.append(tenant.message(1, recipient=EMAIL))
    fields = {"recipient": EMAIL, "useragent": "Okapi-Agent"}
    store.record(event(tenant, 1, [loop.no], fields=fields))


def test_an_erasure_waits_for_a_front_end_that_is_off(data_dir: Path, tmp_path: Path) -> None:
    """It names the front end, and completes once that is back, or is forgotten."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "master.key").write_text((data_dir / "master.key").read_text())
    join(other, data_dir)
    service = Service(data_dir)
    person(service)

    async def scenario() -> None:
        here = Edge(service, data_dir)
        first = await service.erase()
        shown = await service.advance(first)
        assert (shown.step, len(shown.waiting_for)) == ("front_ends", 2)
        assert await here.watch.check()
        shown = await service.advance(first)
        assert (shown.state, len(shown.waiting_for)) == ("running", 1)
        back = Edge(service, other)
        assert await back.watch.check()
        assert (await service.advance(first)).state == "completed"
        await back.journal.close()

        second = await service.erase()
        await service.advance(second)
        await here.watch.check()
        assert (await service.advance(second)).state == "running"
        front_end, _ = KeyFile(other).read()
        key_rings = make_key_ring_store(service.settings)
        assert await asyncio.to_thread(key_rings.forget, front_end)
        assert (await service.advance(second)).state == "completed"

        # It was only unplugged.
        back = Edge(service, other)
        assert await back.watch.check()
        assert list(read_erasures(other / FILE).lines) == [first, second]
        assert not await back.watch.check()
        for edge in (here, back):
            await edge.journal.close()
        await service.close()

    asyncio.run(scenario())


def test_a_restored_backup_brings_nobody_back(data_dir: Path, tmp_path: Path) -> None:
    """The start waits until the person is erased again. Afterwards no file has a trace, the journal's included."""
    outside, restored = tmp_path / "erasures.ndjson", tmp_path / "restored"
    service = Service(data_dir)
    person(service)

    async def before() -> str:
        edge = Edge(service, data_dir, outside)
        await edge.journal.append(b"a hit of " + EMAIL.encode())
        await edge.journal.close()
        await asyncio.to_thread(back_up, data_dir, tmp_path / "copy", "now")
        edge = Edge(service, data_dir, outside)
        id_ = await service.erase()
        await service.advance(id_)
        edge.journal.discard(1, 1)
        await edge.watch.check()
        assert (await service.advance(id_)).state == "completed"
        await edge.journal.close()
        await service.close()
        return id_

    id_ = asyncio.run(before())
    assert files_with(data_dir, EMAIL) == []
    assert sorted(files_with(tmp_path / "copy", EMAIL)) == ["data.mdb", "ledger.sqlite"]
    restore(tmp_path / "copy", restored, outside)
    again = Service(restored)

    async def after() -> None:
        gate = ErasureGate([restored / FILE], again.writer, again.reader)
        with pytest.raises(Unavailable, match="before anything is delivered"):
            await gate.pass_through()
        shown = await again.advance(id_)
        assert (shown.step, shown.counts.messages, shown.counts.events) == ("front_ends", 1, 1)
        await gate.pass_through()
        states = again.reader.rows("SELECT state FROM deliveries")
        assert states == [(DeliveryState.ERASED,)]
        edge = Edge(again, restored)
        edge.journal.discard(1, 1)
        assert await edge.watch.check()
        assert (await again.advance(id_)).state == "completed"
        await edge.journal.close()
        await again.close()

    asyncio.run(after())
    assert files_with(restored, EMAIL) == []
    assert files_with(restored, "Okapi-Agent") == []

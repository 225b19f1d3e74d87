"""Bytes of an erased person: all steps of an erasure on a store, whose files and tables are then searched."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Sequence
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path
from typing import Any

from actors.adapters.clock import SystemClock
from actors.application.erasure_profiles import ErasureChanges, ProfilesAction
from actors.application.event_recorder import EventRecorder
from actors.commands.service import ClaimKey
from actors.ledger.erasure.port import RequestErasure
from actors.ledger.erasure.runner import Batches, ErasureRunner
from actors.ledger.erasure.step import ErasureAction
from actors.ledger.erasure.steps.bytes import BytesAction
from actors.ledger.erasure.steps.events import EventsStep
from actors.ledger.erasure.steps.front_ends import FrontEndsAction
from actors.ledger.erasure.steps.histories import HistoriesStep
from actors.ledger.erasure.steps.idempotency import IdempotencyStep
from actors.ledger.erasure.steps.lanes import LanesAction
from actors.ledger.erasure.steps.mails import MailsAction
from actors.ledger.erasure.steps.messages import MessagesStep
from actors.ledger.erasure.steps.people import PeopleAction
from actors.ledger.key_ring_store import KeyRingStore, SQLiteKeyRingStore
from actors.ledger.people import person_of
from actors.ledger.postgres.key_ring_store import PostgresKeyRingStore
from actors.ledger.postgres.reader import PostgresLedgerReader
from actors.ledger.postgres.vacuum import PostgresByteClearing
from actors.ledger.postgres.writer import PostgresLedgerWriter
from actors.ledger.reader import LedgerReader
from actors.ledger.sqlite.checkpoint import SQLiteByteClearing
from actors.ledger.sqlite.reader import SQLiteLedgerReader
from actors.ledger.sqlite.writer import SQLiteLedgerWriter
from actors.ledger.writer import StoreWriter
from actors.returned_mail.searcher import AddressSearcher
from domain.erasure import StepName, person_digest
from domain.reports.intake import ReportState
from tests.contract.ledger_facts import NOW_MS, Store, Tenant, event, outcome
from tests.contract.ledger_front_ends_suite import KEY, install
from tests.contract.ledger_profiles_suite import Offers
from tests.contract.ledger_reports_suite import record, report
from tests.personal_traces import tables_of, traces

EMAIL = "Zebra.Crossing93@kvx-erasure.example"
OTHER = "quiet.neighbour@kvx-erasure.example"
PERSONAL = (
    *(EMAIL, EMAIL.lower(), "Zebra.Crossing93", "zebra.crossing93", "203.0.113.88", "Okapi-Agent-77310"),
    *("Quokka-73122", "Ouagadougou-5567", "Zanzibar-88123", "aardvark-5541", "Narwhal-reference-1"),
)
#: People besides the one, so that pages are split and rebuilt.
CROWD = 3000


class NoHosts:
    """`LoopHosts` without processes."""

    async def forget_queued(self, loop_ids: Sequence[str]) -> list[str]:
        return []


def fill(store: Store, tenant: Tenant) -> None:
    """A person among many, with data of every kind."""
    loop = store.active_loop(tenant)
    crowd(store, tenant, 1)
    reference = "Narwhal-reference-1@mail.example"
    links = ["https://shop.example/?who=aardvark-5541"]
    store.append(
        tenant.message(50_001, recipient=EMAIL, reference=reference, links=links, database="1", profile="p"),
        tenant.message(50_002, recipient=OTHER),
    )
    profile = tenant.profile("1", "p", {"email": EMAIL, "nickname": "Quokka-73122"})
    store.append(profile, tenant.profile("1", "p", {"item": "Zanzibar-88123"}, ("orders", "7")))
    profile.put(f'{{"email": "{EMAIL}", "town": "Ouagadougou-5567"}}', [], NOW_MS + 1)
    store.append(profile)
    fields = {
        "recipient": EMAIL,
        "ip": "203.0.113.88",
        "useragent": "Okapi-Agent-77310",
        "fields": {"n": "Quokka-73122"},
    }
    made = [event(tenant, 50_001, loop_nos=[loop.no], fields=fields) for _ in range(5)]
    made[0] = made[0]._replace(type="bounce", mime=f"To: {EMAIL}\r\n\r\nQuokka-73122")
    ids = [id_ for ids in store.record(*made).delivery_ids for id_ in ids]
    store.outcomes(*(outcome(id_, excerpt=f"got {EMAIL}", response_headers=f"X-Echo: {EMAIL}") for id_ in ids[:3]))
    store.outcomes(outcome(ids[3], state=0, status=500, error="status", excerpt=f"got {EMAIL}", due_at_ms=2**45))
    encoded = b64encode(f"I am {EMAIL}.".encode()).decode()
    mail = f"Content-Transfer-Encoding: base64\r\n\r\n{encoded}"
    record(store, report(tenant, b"u" * 32, state=ReportState.UNMATCHED, mime=mail))
    store.record(event(tenant, 50_002, fields={"recipient": OTHER}))
    crowd(store, tenant, 2)


def crowd(store: Store, tenant: Tenant, number: int) -> None:
    for start in range(0, CROWD, 500):
        keys = [number * 10_000 + n for n in range(start, start + 500)]
        names = [f"{sha256(b'%d' % key).hexdigest()[:8]}@crowd.example" for key in keys]
        store.append(*(tenant.message(key, recipient=name) for key, name in zip(keys, names, strict=True)))
        store.record(*(event(tenant, key, fields={"recipient": n}) for key, n in zip(keys, names, strict=True)))


def erase(store: Store, clearing: Any) -> None:
    """Runs every step that a service runs."""
    writer: Any = store.writer
    access, digest_key = writer.erasure_store, store.reader.digest_key
    changes = ErasureChanges(writer)
    searcher = AddressSearcher()
    actions: list[ErasureAction] = [
        PeopleAction(access, digest_key, searcher),
        Batches(MessagesStep(digest_key), access),
        Batches(EventsStep(), access),
        ProfilesAction(access, changes, EventRecorder(changes, store.reader, Offers())),
        Batches(HistoriesStep(), access),
        FrontEndsAction(access),
        MailsAction(access, searcher),
        Batches(MessagesStep(digest_key, StepName.LATE_MESSAGES), access),
        Batches(EventsStep(StepName.LATE_EVENTS), access),
        LanesAction(access, NoHosts()),
        Batches(IdempotencyStep(), access),
        BytesAction(access, clearing),
    ]

    async def all_steps() -> None:
        person = person_of(EMAIL)
        wanted = RequestErasure(id="ers_1", account_no=1, person=person, digest=person_digest(KEY, person))
        await store.writer.change_erasures(wanted)
        runner = ErasureRunner(actions, access)
        async with asyncio.timeout(60):
            while store.reader.erasure(None, "ers_1").state == "running":  # type: ignore[union-attr]
                await runner.advance()

    store.run(all_steps())


def made(writer: StoreWriter, reader: LedgerReader, key_rings: KeyRingStore) -> Store:
    store = Store(writer, reader, SystemClock(), list, dict, Store, Store, key_rings)  # type: ignore[arg-type]
    install(store)
    return store


def found(places: dict[str, bytes], texts: Sequence[str] = PERSONAL) -> dict[str, Any]:
    return {name: has for name, data in places.items() if (has := traces(texts, data))}


def test_sqlite_files_hold_nothing_of_an_erased_person(tmp_path: Path) -> None:
    """Neither the ledger's file nor its write-ahead log has a trace, also after many pages were split and rebuilt."""
    path = tmp_path / "ledger.sqlite"
    with ExitStack() as stack:
        writer = SQLiteLedgerWriter(path)
        stack.callback(lambda: asyncio.run(writer.close()))
        reader = SQLiteLedgerReader(path)
        stack.callback(reader.close)
        store = made(writer, reader, SQLiteKeyRingStore(path))
        tenant = store.account()
        fill(store, tenant)
        store.run(writer.claim_key(ClaimKey(scope=tenant.view.id, key="k", fingerprint="f")))
        files = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
        assert {text for has in found(files).values() for text, _ in has} >= set(PERSONAL) - {EMAIL.lower()}

        erase(store, SQLiteByteClearing(path, lambda: None))

        files = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
        assert found(files) == {}
        assert found(files, [OTHER])


def test_postgresql_tables_hold_nothing_of_an_erased_person(url: str) -> None:
    """Neither a table nor the planner's statistics about one has a trace."""
    with ExitStack() as stack:
        writer = PostgresLedgerWriter(url)
        stack.callback(lambda: asyncio.run(writer.close()))
        reader = PostgresLedgerReader(url)
        stack.callback(reader.close)
        store = made(writer, reader, PostgresKeyRingStore(url))
        fill(store, store.account())
        assert {text for has in found(tables_of(url)).values() for text, _ in has} >= set(PERSONAL) - {EMAIL.lower()}

        erase(store, PostgresByteClearing(url))

        assert found(tables_of(url)) == {}
        assert found(tables_of(url), [OTHER])

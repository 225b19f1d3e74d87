"""Front end while its journal cannot be opened: hits are answered and kept, everything else is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from api.journal.held_hits import HeldHits, HeldHitsImport
from api.journal.journal import Journal
from api.journal.limits import JournalLimits
from api.journal.spill import Spill, read_spilled
from api.tracking.app import TrackingApp
from api.tracking.responses import PIXEL
from api.tracking.urls import TrackingUrls
from api.without_journal import WithoutJournal
from domain.errors import StoreUnavailable
from domain.key_set import KeySet
from domain.tokens import TrackingTokens

TOKENS = TrackingTokens(KeySet.single(b"k" * 32))
URLS = TrackingUrls("http://track.test/", TOKENS)
TARGET = "https://example.com/shop"


class Clock:
    def now_ms(self) -> int:
        return 1_700_000_000_123


def never() -> Journal:
    raise StoreUnavailable("the disk is not there")


def test_valid_links_are_answered_and_all_else_is_refused_at_once() -> None:
    """I2: a click redirects. Reports and the API get 503 with Retry-After; the process is alive."""

    async def main() -> None:
        held = HeldHits()
        app = WithoutJournal(TrackingApp(TOKENS, held, (), Clock()), never)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://track.test") as client:
            click = await client.get(URLS.link_url(3, 7, TARGET))
            assert (click.status_code, click.headers["location"]) == (302, TARGET)
            assert (await client.get(URLS.open_url(3, 7))).content == PIXEL
            assert (await client.get("http://track.test/c/forged")).status_code == 404
            assert (await client.get("/healthz")).json() == {"status": "ok"}
            for path in ("/readyz", "/readyz?for=tracking", "/v1/events", "/dashboard", "/"):
                refused = await client.get(path)
                assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
                assert "journal" in refused.json()["detail"]
        assert len(held) == 2

    asyncio.run(main())


def test_held_hits_reach_the_journal_once_it_is_open(tmp_path: Path) -> None:
    """The lifespan tries until the journal can be opened, and reports it; then the hits are in it, in order."""

    async def main() -> None:
        attempts = 0

        def open_journal() -> Journal:
            nonlocal attempts
            attempts += 1
            return never() if attempts < 3 else Journal.open(tmp_path / "j", 1 << 24)

        held = HeldHits()
        app = WithoutJournal(TrackingApp(TOKENS, held, (), Clock()), open_journal, retry_s=0.01)
        is_open = asyncio.Event()
        app.on_open = is_open.set
        incoming: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        outgoing: asyncio.Queue[object] = asyncio.Queue()
        running = asyncio.ensure_future(app({"type": "lifespan"}, incoming.get, outgoing.put))
        await incoming.put({"type": "lifespan.startup"})
        hits = [b"hit %d" % n for n in range(5000)]
        for hit in hits:
            await held.append(hit)
        async with asyncio.timeout(10):
            await is_open.wait()
        await incoming.put({"type": "lifespan.shutdown"})
        await running

        journal = app.journal
        assert journal is not None
        importing = HeldHitsImport(held, journal)
        importing.start()
        async with asyncio.timeout(30):
            while held.first(1):
                await asyncio.sleep(0.01)
        await importing.stop()
        assert [hit for _, hit in journal.read(0, 10_000)] == hits
        assert len(held) == 0
        await journal.close()

    asyncio.run(main())


def test_held_hits_are_bounded_and_spilled_at_a_stop(tmp_path: Path) -> None:
    """What is beyond the bound is lost and counted; the rest is lost only without a directory to spill to."""

    async def filled() -> HeldHits:
        held = HeldHits(JournalLimits(kept_hits=3))
        for number in range(5):
            await held.append(b"hit %d" % number)
        return held

    assert asyncio.run(filled()).save(None) == 5
    spill = Spill(tmp_path, "aa")
    assert asyncio.run(filled()).save(spill) == 2
    (file,) = spill.files()
    assert list(read_spilled(file)) == [b"hit 0", b"hit 1", b"hit 2"]

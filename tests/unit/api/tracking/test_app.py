"""Tracking routes: answers and recorded hits, in-process and on a real server."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from ipaddress import ip_network
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
import uvicorn
from hypothesis import given
from hypothesis import strategies as st

from actors.commands.intake import MAX_ENTRIES, encode_batch, read_batch
from api.journal.journal import Journal
from api.tracking.app import TrackingApp, location_of
from api.tracking.one_click import asks_to_unsubscribe
from api.tracking.responses import PIXEL
from api.tracking.urls import TrackingUrls
from domain.key_set import KeySet
from domain.message import MAX_LINK_BYTES, link_problem
from domain.tokens import TrackingTokens
from domain.tracking import TrackingHit

TOKENS = TrackingTokens(KeySet.single(b"k" * 32))
URLS = TrackingUrls("http://track.test/", TOKENS)
TARGET = "https://example.com/shop?item=1&utm_source=mail#top"
KEY = 7_000_000_000_000_000
NO_STORE = "no-store, no-cache, must-revalidate, private, max-age=0"
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


class Clock:
    def now_ms(self) -> int:
        return 1_700_000_000_123


def recorded_hits(journal: Journal) -> list[TrackingHit]:
    """All hits in the journal."""
    entries = read_batch(encode_batch([entry for _, entry in journal.read(0, MAX_ENTRIES)])).entries
    return [entry for entry in entries if isinstance(entry, TrackingHit)]


class Edge:
    """The application, its client, and the recorded hits."""

    def __init__(self, journal: Journal, app: TrackingApp, client: httpx.AsyncClient) -> None:
        self.journal, self.app, self.client = journal, app, client

    async def get(self, url: str, **kwargs: Any) -> httpx.Response:
        return await self.client.get(url, **kwargs)

    @property
    def hits(self) -> list[TrackingHit]:
        return recorded_hits(self.journal)


def run(path: Path, body: Callable[[Edge], Awaitable[None]], trusted: str = "", peer: str = "192.0.2.1") -> None:
    """Runs `body` with an application whose every request comes from `peer`."""

    async def main() -> None:
        journal = Journal.open(path / "j", 1 << 22)
        app = TrackingApp(TOKENS, journal, [ip_network(text) for text in trusted.split()], Clock())
        transport = httpx.ASGITransport(app, client=(peer, 1234))
        async with httpx.AsyncClient(transport=transport) as client:
            await body(Edge(journal, app, client))
        await journal.close()

    asyncio.run(main())


def test_an_open_gets_the_pixel_and_is_recorded(tmp_path: Path) -> None:
    """The pixel is a GIF of 43 bytes that must not be cached; the hit holds everything known of the request."""

    async def body(edge: Edge) -> None:
        headers = {"User-Agent": "Mozilla/5.0 é", "Referer": "https://mail.example/", "Sec-Purpose": "Prefetch;x"}
        answer = await edge.get(URLS.open_url(3, KEY), headers=[(k, v.encode()) for k, v in headers.items()])
        assert (answer.status_code, answer.content, len(answer.content)) == (200, PIXEL, 43)
        assert answer.content.startswith(b"GIF89a")
        assert answer.headers["content-type"] == "image/gif"
        assert answer.headers["content-length"] == "43"
        assert answer.headers["cache-control"] == NO_STORE
        assert {"pragma", "expires"} <= set(answer.headers)
        [hit] = edge.hits
        assert hit._replace(event_id=b"") == TrackingHit(
            b"",
            "open",
            3,
            KEY,
            Clock().now_ms(),
            "",
            "192.0.2.1",
            "Mozilla/5.0 é",
            "https://mail.example/",
            "prefetch;x",
        )
        assert len(hit.event_id) == 16
        assert int.from_bytes(hit.event_id[:6], "big") == Clock().now_ms()

    run(tmp_path, body)


def test_a_click_is_redirected_and_recorded(tmp_path: Path) -> None:
    """The redirect goes exactly to the original URL, and must not be cached."""

    async def body(edge: Edge) -> None:
        answer = await edge.get(URLS.link_url(3, KEY, TARGET))
        assert (answer.status_code, answer.content) == (302, b"")
        assert answer.headers["location"] == TARGET
        assert answer.headers["cache-control"] == NO_STORE
        assert [(hit.kind, hit.target, hit.account_no) for hit in edge.hits] == [("click", TARGET, 3)]

    run(tmp_path, body)


def test_each_hit_has_its_own_id(tmp_path: Path) -> None:
    """Many equal requests at the same time are as many events, in the order of their ids."""

    async def body(edge: Edge) -> None:
        url = URLS.open_url(1, KEY)
        await asyncio.gather(*(edge.get(url) for _ in range(50)))
        ids = [hit.event_id for hit in edge.hits]
        assert ids == sorted(set(ids))
        assert len(ids) == 50

    run(tmp_path, body)


@pytest.mark.parametrize("kind", ["o", "c", "u"])
def test_head_answers_like_get_and_records_nothing(tmp_path: Path, kind: str) -> None:
    """HEAD has GET's status and headers and no body, and nothing is recorded."""
    url = {"o": URLS.open_url(1, KEY), "c": URLS.link_url(1, KEY, TARGET), "u": URLS.unsubscribe_url(1, KEY)}[kind]

    async def body(edge: Edge) -> None:
        head = await edge.client.head(url)
        assert (head.content, edge.hits) == (b"", [])
        get = await edge.get(url)
        assert (head.status_code, head.headers) == (get.status_code, get.headers)

    run(tmp_path, body)


class LatecomingKeys:
    """Keys of a machine whose next look at the disk finds a second one, if `comes`."""

    def __init__(self, tokens: TrackingTokens, *, comes: bool, is_current: bool, is_wrong: bool = False) -> None:
        self._tokens, self._comes, self.is_current, self.is_wrong_installation = tokens, comes, is_current, is_wrong

    def reload(self) -> None:
        if self._comes:
            self._tokens.use(KeySet(1, {1: b"k" * 32, 2: b"n" * 32}))


@pytest.mark.parametrize(
    ("comes", "is_current", "status"), [(True, False, 302), (False, False, 503), (False, True, 404)]
)
def test_a_token_of_an_unknown_key(tmp_path: Path, comes: bool, is_current: bool, status: int) -> None:
    """It is answered if its key is on the disk; otherwise it is unknown for now, until the keys are known to be all."""
    token = TrackingTokens(KeySet.single(b"n" * 32, 2)).click(1, KEY, TARGET)
    tokens = TrackingTokens(KeySet.single(b"k" * 32))

    async def main() -> None:
        journal = Journal.open(tmp_path / "j", 1 << 22)
        keys = LatecomingKeys(tokens, comes=comes, is_current=is_current)
        app = TrackingApp(tokens, journal, [], Clock(), keys=keys)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            answer = await client.get(f"http://track.test/c/{token}")
            own = await client.get(f"http://track.test/c/{TOKENS.click(1, KEY, TARGET)}")
            forged = await client.get(f"http://track.test/c/{TOKENS.open(1, KEY)}")
        assert (answer.status_code, answer.headers.get("retry-after")) == (status, "5" if status == 503 else None)
        assert own.status_code == 302
        assert forged.status_code == 404
        assert len(recorded_hits(journal)) == 1 + (status == 302)
        await journal.close()

    asyncio.run(main())


def test_with_a_store_of_another_installation_no_token_is_known_to_be_wrong(tmp_path: Path) -> None:
    """Another machine may know it: 503. Tokens that are verified here are answered."""
    foreign = TrackingTokens(KeySet.single(b"n" * 32)).click(1, KEY, TARGET)

    async def main() -> None:
        journal = Journal.open(tmp_path / "j", 1 << 22)
        keys = LatecomingKeys(TOKENS, comes=False, is_current=False, is_wrong=True)
        app = TrackingApp(TOKENS, journal, [], Clock(), keys=keys)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as client:
            assert (await client.get(f"http://track.test/c/{foreign}")).status_code == 503
            assert (await client.get(f"http://track.test/c/{TOKENS.click(1, KEY, TARGET)}")).status_code == 302
        await journal.close()

    asyncio.run(main())


def test_an_invalid_token_leads_nowhere(tmp_path: Path) -> None:
    """Forged, cut, changed, mismatched and empty tokens get 404 without Location or a record, for any method."""
    click = TOKENS.click(1, KEY, TARGET)
    forged = TrackingTokens(KeySet.single(b"other" * 6)).click(1, KEY, TARGET)
    flipped = click[:9] + ("A" if click[9] != "A" else "B") + click[10:]
    bad = [forged, click[:-1], click[1:], flipped, click + "A", click + "=", TOKENS.open(1, KEY), "", "%ff", "é", "a/b"]

    async def body(edge: Edge) -> None:
        for token in bad:
            for kind in "ocu" if token != TOKENS.open(1, KEY) else "cu":
                for method in ("GET", "HEAD") + (("POST",) if kind == "u" else ()):
                    answer = await edge.client.request(method, f"http://track.test/{kind}/{token}", data=ONE_CLICK)
                    assert answer.status_code == 404, (kind, token, method)
                    assert "location" not in answer.headers
                    assert answer.headers["content-type"].startswith("text/plain")
        assert edge.hits == []

    run(tmp_path, body)


PUNCTUATION = ".,;:!?)>]}\"'"


@given(tail=st.lists(st.sampled_from(PUNCTUATION), max_size=40), encoded=st.randoms())
def test_trailing_punctuation_is_ignored(
    tmp_path_factory: pytest.TempPathFactory, tail: list[str], encoded: Random
) -> None:
    """Link detection may add any number of these characters, as they are or percent-encoded."""
    # A `?` that is not encoded begins the query, which does not matter either.
    suffix = "".join(f"%{ord(c):02{encoded.choice('xX')}}" if encoded.random() < 0.5 else c for c in tail)

    async def body(edge: Edge) -> None:
        assert (await edge.get(URLS.open_url(1, KEY) + suffix)).content == PIXEL
        assert (await edge.get(URLS.link_url(1, KEY, TARGET) + suffix)).headers["location"] == TARGET
        assert (await edge.get(URLS.unsubscribe_url(1, KEY) + suffix)).status_code == 200
        assert (await edge.client.post(URLS.unsubscribe_url(1, KEY) + suffix, data=ONE_CLICK)).status_code == 200
        assert [(hit.kind, hit.target) for hit in edge.hits] == [("open", ""), ("click", TARGET), ("unsubscribe", "")]

    run(tmp_path_factory.mktemp("edge"), body)


@pytest.mark.parametrize("tail", ["=", "/", "*", "%20", "-", "_", "%2E=", ".a", "%252E"])
def test_other_characters_after_a_token_are_not_ignored(tmp_path: Path, tail: str) -> None:
    """They alter the token."""

    async def body(edge: Edge) -> None:
        assert (await edge.get(URLS.open_url(1, KEY) + tail)).status_code == 404
        assert edge.hits == []

    run(tmp_path, body)


def test_other_methods_are_not_allowed(tmp_path: Path) -> None:
    """405 lists the allowed methods, and nothing is recorded."""

    async def body(edge: Edge) -> None:
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            answer = await edge.client.request(method, URLS.open_url(1, KEY))
            assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
        answer = await edge.client.put(URLS.unsubscribe_url(1, KEY))
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")
        assert edge.hits == []

    run(tmp_path, body)


def test_opening_the_unsubscribe_page_unsubscribes_nobody(tmp_path: Path) -> None:
    """GET shows a form for the same URL that loads and runs nothing, and nothing is recorded."""

    async def body(edge: Edge) -> None:
        answer = await edge.get(URLS.unsubscribe_url(1, KEY))
        assert (answer.status_code, edge.hits) == (200, [])
        page = answer.text
        assert '<html lang="en">' in page
        assert '<form method="post">' in page
        assert re.search(r"<button[^>]*>Unsubscribe</button>", page)
        assert not re.search(r"src=|href=|url\(|<script|@import|action=", page)
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "form-action 'self'" in policy
        assert answer.headers["referrer-policy"] == "no-referrer"

    run(tmp_path, body)


def test_one_click_unsubscribes(tmp_path: Path) -> None:
    """RFC 8058's POST, in either encoding, is recorded and answered with a page; so is the page's own button."""

    async def body(edge: Edge) -> None:
        url = URLS.unsubscribe_url(5, KEY)
        page = (await edge.get(url)).text
        button = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page))
        for sent in ({"data": ONE_CLICK}, {"files": {"List-Unsubscribe": (None, "One-Click")}}, {"data": button}):
            answer = await edge.client.post(url, **sent)
            assert answer.status_code == 200
            assert "You have been unsubscribed" in answer.text
        assert [(hit.kind, hit.account_no, hit.message_key) for hit in edge.hits] == [("unsubscribe", 5, KEY)] * 3

    run(tmp_path, body)


def test_a_post_of_another_form_unsubscribes_nobody(tmp_path: Path) -> None:
    """Another form, or none, gets the page with the button; a large body is not read to its end."""

    async def body(edge: Edge) -> None:
        url = URLS.unsubscribe_url(5, KEY)
        other = await edge.client.post(url, data={"List-Unsubscribe": "No"})
        assert (other.status_code, "<form" in other.text) == (400, True)
        nothing = await edge.client.post(url)
        assert (nothing.status_code, "<form" in nothing.text) == (400, True)
        large = await edge.client.post(url, content=b"List-Unsubscribe=One-Click&x=" + b"x" * 5000)
        assert large.status_code == 413
        assert edge.hits == []

    run(tmp_path, body)


def part(name: bytes, value: bytes) -> bytes:
    return b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (name, value)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"List-Unsubscribe=One-Click", True),
        (b"List-Unsubscribe=One-Click\r\n", True),
        (b"a=b&List-Unsubscribe=One%2DClick", True),
        (b"", False),
        (b"\r\n", False),
        (b"List-Unsubscribe=One-Click-Not", False),
        (b"x=List-Unsubscribe=One-Click", False),
        (b"\xff\xfe&&&==", False),
        (b"&" * 4000, False),
        (b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--', True),
        (
            b"--b\nContent-Type: text/plain\ncontent-disposition:form-data;name=List-Unsubscribe\n\nOne-Click\n--b--\n",
            True,
        ),
        (part(b"x", b"1") + part(b"List-Unsubscribe", b"One-Click") + b"--b--\r\n", True),
        (b'--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nNo\r\n--b--', False),
        (part(b"List-Unsubscribe", b"No") + part(b"other", b"One-Click") + b"--b--\r\n", False),
        (part(b"other", b"One-Click") + part(b"List-Unsubscribe", b"") + b"--b--\r\n", False),
        (part(b"List-Unsubscribe", b"One-Click\r\nNo") + b"--b--\r\n", False),
        (part(b'x"; filename="List-Unsubscribe', b"One-Click") + b"--b--\r\n", False),
        (b'--b\r\n\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--', False),
        (b'Content-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n', False),
    ],
)
def test_which_forms_unsubscribe(body: bytes, expected: bool) -> None:
    """RFC 8058's pair counts in either encoding, with name and value in one field, and nothing else does."""
    assert asks_to_unsubscribe(body) is expected


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("https://example.com/a%20b?x=1&y=%C3%A9#f", b"https://example.com/a%20b?x=1&y=%C3%A9#f"),
        ("HTTP://example.com", b"HTTP://example.com"),
        ("https://bücher.example:8443/ä b?ö=ü", b"https://xn--bcher-kva.example:8443/%C3%A4%20b?%C3%B6=%C3%BC"),
        ("https://example.com/\r\nSet-Cookie: a=b", b"https://example.com/%0D%0ASet-Cookie:%20a=b"),
        ("https://example.бг:8080/x", b"https://example.xn--90ae:8080/x"),
        ("https://jö:p@ß@faß.de:1?", b"https://j%C3%B6:p@%C3%9F@xn--fa-hia.de:1?"),
        ("https://bücher.example/a?x#", b"https://xn--bcher-kva.example/a?x#"),
        ("https://bücher.example#?", b"https://xn--bcher-kva.example#?"),
        ("https://bücher.example\\@x.example/", b"https://xn--bcher-kva.example\\@x.example/"),
        ("https://[2001:db8::1]:80/ä", b"https://[2001:db8::1]:80/%C3%A4"),
        ("https://☃.example/", b"https://xn--n3h.example/"),
        ("https://a.example／@b.example/", b"https://a.example%EF%BC%8F@b.example/"),
        ("https://a.example／b.example/", b"https://a.example%EF%BC%8Fb.example/"),
        ("http:///ä", b"http:///%C3%A4"),
        ("https://" + "ä" * 80 + ".example/", b"https://" + b"%C3%A4" * 80 + b".example/"),
        ("javascript:alert(1)", None),
        ("//example.com", None),
        ("", None),
    ],
)
def test_a_location_is_an_http_url_in_ascii(target: str, location: bytes | None) -> None:
    """An ASCII target is unchanged, an IRI becomes its URI; no target can end the header or leave http(s)."""
    assert location_of(target) == location


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=40), st.integers(1, 400))
def test_a_location_is_as_long_as_links_may_be(text: str, times: int) -> None:
    """Percent-encoding makes no link that is accepted longer than proxies are told to expect."""
    target = f"https://b\u00fccher.example/{text * times}"[:MAX_LINK_BYTES]
    if link_problem(target) is None:
        assert len(location_of(target) or b"") <= MAX_LINK_BYTES + 64


def test_a_link_with_another_scheme_leads_nowhere(tmp_path: Path) -> None:
    """Even a genuine token for another scheme is not followed."""

    async def body(edge: Edge) -> None:
        answer = await edge.get(URLS.link_url(1, KEY, "javascript:alert(1)"))
        assert (answer.status_code, "location" in answer.headers, edge.hits) == (404, False, [])

    run(tmp_path, body)


def test_long_headers_are_cut(tmp_path: Path) -> None:
    """At most 1024 characters of a header are kept; bytes that are not UTF-8 are read as ISO 8859-1."""

    async def body(edge: Edge) -> None:
        await edge.get(URLS.open_url(1, KEY), headers={"User-Agent": b"\xe9" * 2000, "Referer": "é".encode() * 2000})
        [hit] = edge.hits
        assert (hit.useragent, hit.referer) == ("é" * 1024, "é" * 1024)

    run(tmp_path, body)


def test_all_purpose_headers_are_recorded(tmp_path: Path) -> None:
    """Each of them counts, in any number of lines; an empty or unknown one hides none."""

    async def body(edge: Edge) -> None:
        headers = [
            ("Purpose", ""),
            ("X-Purpose", "Instant"),
            ("Sec-Purpose", "navigate"),
            ("Sec-Purpose", "Prefetch;x"),
        ]
        await edge.get(URLS.open_url(1, KEY), headers=[*headers, ("X-Moz", "preview")])
        [hit] = edge.hits
        assert hit.purpose == ", instant, navigate, prefetch;x, preview"

    run(tmp_path, body)


PROXIES = "10.0.0.0/8 2001:db8:1::/48"


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        ("192.0.2.1", [("X-Forwarded-For", "203.0.113.9")], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", [("X-Forwarded-For", "203.0.113.9")], "203.0.113.9"),
        ("10.0.0.1", [("X-Forwarded-For", "1.1.1.1, 203.0.113.9, 10.2.3.4")], "203.0.113.9"),
        ("10.0.0.1", [("X-Forwarded-For", "1.1.1.1"), ("X-Forwarded-For", "203.0.113.9")], "203.0.113.9"),
        ("10.0.0.1", [("X-Forwarded-For", "10.9.9.9, 10.2.3.4")], "10.9.9.9"),
        ("10.0.0.1", [("X-Forwarded-For", "203.0.113.9, unknown, 10.2.3.4")], "10.2.3.4"),
        ("10.0.0.1", [("X-Forwarded-For", "garbage")], "10.0.0.1"),
        ("10.0.0.1", [("X-Forwarded-For", "203.0.113.9:5555")], "203.0.113.9"),
        ("::ffff:10.0.0.1", [("X-Forwarded-For", "::FFFF:203.0.113.9")], "203.0.113.9"),
        ("2001:db8:1::5", [("Forwarded", 'for="[2001:DB8:0::17]:4711";proto=https;by=10.0.0.1')], "2001:db8::17"),
        (
            "10.0.0.1",
            [("Forwarded", "for=1.1.1.1, For=203.0.113.9;by=10.0.0.9, proto=http;for=10.2.3.4")],
            "203.0.113.9",
        ),
        ("10.0.0.1", [("Forwarded", "for=203.0.113.9, for=_hidden, for=10.2.3.4")], "10.2.3.4"),
        ("10.0.0.1", [("Forwarded", "by=1.2.3.4")], "10.0.0.1"),
        ("10.0.0.1", [("Forwarded", "for=1.1.1.1"), ("X-Forwarded-For", "203.0.113.9")], "203.0.113.9"),
    ],
)
def test_the_client_address_behind_proxies(
    tmp_path: Path, peer: str, headers: list[tuple[str, str]], expected: str
) -> None:
    """Addresses of proxies are read from the right, as far as the proxies are trusted."""

    async def body(edge: Edge) -> None:
        await edge.get(URLS.open_url(1, KEY), headers=headers)
        assert [hit.ip for hit in edge.hits] == [expected]

    run(tmp_path, body, trusted=PROXIES, peer=peer)


def test_handles_is_true_only_for_tracking_paths(tmp_path: Path) -> None:
    """The three kinds of tracking URL belong to the application, and all other paths get a 404."""

    async def body(edge: Edge) -> None:
        paths = ["/o/x", "/c/", "/u/a/b", "/", "/v1/x", "/o", "/ox/", ""]
        assert [edge.app.handles(path) for path in paths] == [True] * 3 + [False] * 5
        assert (await edge.get("http://track.test/v1/x")).status_code == 404

    run(tmp_path, body)


def test_on_a_real_server(tmp_path: Path) -> None:
    """uvicorn serves pixel, redirect and HEAD over one connection, and the peer's address is recorded."""

    async def main() -> None:
        journal = Journal.open(tmp_path / "j", 1 << 22)
        app = TrackingApp(TOKENS, journal, [], Clock())
        config = uvicorn.Config(app, port=0, lifespan="off", log_level="error", proxy_headers=False)
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        urls = TrackingUrls(f"http://127.0.0.1:{port}", TOKENS)
        async with httpx.AsyncClient() as client:
            for _ in range(2):
                assert (await client.get(urls.open_url(1, KEY))).content == PIXEL
                assert (await client.head(urls.open_url(1, KEY))).headers["content-length"] == "43"
                assert (await client.get(urls.link_url(1, KEY, TARGET) + "%29%2E")).headers["location"] == TARGET
                assert (await client.post(urls.unsubscribe_url(1, KEY), data=ONE_CLICK)).status_code == 200
        recorded = recorded_hits(journal)
        assert [(hit.kind, hit.ip) for hit in recorded] == [
            (kind, "127.0.0.1") for kind in ["open", "click", "unsubscribe"] * 2
        ]
        server.should_exit = True
        await serving
        await journal.close()

    asyncio.run(main())

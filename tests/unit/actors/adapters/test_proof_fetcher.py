"""The proof fetcher, against real HTTP and DNS servers on 127.0.0.1."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dns.message
import dns.rcode
import dns.rrset
import pytest

from actors.adapters.http_client import PinnedHttpClient
from actors.adapters.proof_fetcher import PinnedProofFetcher
from actors.adapters.resolver import HandlerResolver, LookUp
from actors.delivery.proof_search import search_for_proof
from actors.ports import FetchedProof
from domain.handler_policy import HandlerPolicy, parse_networks
from domain.values import HandlerUrl
from domain.verification import file_content, file_name
from tests.loops import TOKEN
from tests.raw_handler import (
    OK,
    RawHandler,
    Script,
    answering,
    dropping_packets,
    make_certificates,
    raw_handler,
    read_request,
)

LOCAL = HandlerPolicy(parse_networks("127.0.0.0/8"))


def fetcher(policy: HandlerPolicy = LOCAL, look_up: LookUp | None = None, **options: Any) -> PinnedProofFetcher:
    """A proof fetcher that may connect where the policy allows."""
    return PinnedProofFetcher(PinnedHttpClient(HandlerResolver(policy, look_up)), **options)


def file(body: bytes, head: bytes = b"HTTP/1.1 200 OK") -> bytes:
    return head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def fetched(script: Script, timeout_s: float = 5.0, path: str = "/dir/proof.txt") -> tuple[FetchedProof, RawHandler]:
    """The proof fetcher's result for a server that follows the script."""
    results: list[Any] = []

    async def main() -> None:
        async with raw_handler(script) as handler:
            proof_fetcher = fetcher(timeout_s=timeout_s)
            results.extend([await proof_fetcher.fetch_file(handler.url(path)), handler])

    asyncio.run(main())
    return results[0], results[1]


# --- files


def test_a_file_is_fetched() -> None:
    """The content is returned unchanged, with a message that shows it."""
    got, handler = fetched(answering(file(b"the proof\n")))

    assert got == (b"the proof\n", 'a file: "the proof"')
    assert handler.requests[0].startswith(b"GET /dir/proof.txt HTTP/1.1\r\n")
    assert b"ser-Agent: feedback-loops/" in handler.requests[0]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nproo", "404 Not Found"),
        (b"HTTP/1.1 206 Partial Content\r\nContent-Length: 0\r\n\r\n", "206 Partial Content"),
        (file(b""), "an empty file"),
        (b"garbage\r\n\r\n", "the answer is not HTTP"),
        (
            b"HTTP/1.1 302 Found\r\nLocation: https://x.example/y\r\nContent-Length: 0\r\n\r\n",
            '302 Found: a redirect to "https://x.example/y", and redirects are not followed',
        ),
        (b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n", "302 Found"),
        (b"HTTP/1.1 304 Not Modified\r\n\r\n", "304 Not Modified"),
        (b"HTTP/1.1 399 \r\nContent-Length: 0\r\n\r\n", "399"),
        (b"HTTP/1.1 404 \x1b[31mred\x07\xff\r\nContent-Length: 0\r\n\r\n", "404 �[31mred��"),
        (b"HTTP/1.1 404 " + b"x" * 5000 + b"\r\nContent-Length: 0\r\n\r\n", "404 " + "x" * 96),
        (b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \x1b[31m\r\n\r\n", "an empty file"),
    ],
)
def test_other_statuses_are_no_file(answer: bytes, found: str) -> None:
    """Anything but a 200 has no body, and a message with the response."""
    got, handler = fetched(answering(answer))

    assert got.found.startswith(found)
    assert got.found.isprintable()
    assert len(got.found) < 300
    assert not got.body
    assert len(handler.requests) == 1


def test_long_files_are_cut() -> None:
    """At most one byte over the limit is read of a file, even of an endless one."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: RawHandler) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 1000)
            await writer.drain()

    got, _ = fetched(script)

    assert got == (b"x" * 4097, "a file of more than 4096 bytes")


@pytest.mark.parametrize(
    ("head", "found"),
    [
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "404 Not Found"),
        (b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\nno chunk\r\n", "404 Not Found"),
        (b"HTTP/1.1 404 Not Found\r\nbad header\r\n\r\n", "404 Not Found"),
    ],
)
def test_unneeded_bodies_are_not_read(head: bytes, found: str) -> None:
    """The fetcher does not wait for the body of an error page."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: RawHandler) -> None:
        await read_request(reader)
        writer.write(head)
        await reader.read()

    assert fetched(script, timeout_s=60.0)[0] == (None, found)


@pytest.mark.parametrize("body", [b"", b"the proof"])
def test_a_doubtful_file_is_not_waited_for(body: bytes) -> None:
    """If the headers leave doubt about the end of the file, it is what arrives within a moment."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: RawHandler) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nbad header\r\n\r\n" + body)
        await reader.read()

    assert fetched(script, timeout_s=60.0)[0].body == body


def test_headers_with_control_characters() -> None:
    """A file is read even if a header has control characters, as in responses to deliveries."""
    got, _ = fetched(answering(file(b"the proof", b"HTTP/1.1 200 OK\r\nX: a\x1bb\r\nY: a\r\n folded")))

    assert got == (b"the proof", 'a file: "the proof"')


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 9\n\nthe proof",
        b"HTTP/1.1 200\r\nno colon\r\nContent-Length: 9\r\n\r\nthe proof",
        b"HTTP/1.1 200 OK\nno colon\n\nthe proof",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 9\r\n\r\nthe proof",
        b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n9;x=y\nthe proof\n0\n\n",
        b"HTTP/1.0 200 OK\r\n\r\nthe proof",
    ],
)
def test_what_can_be_delivered_to_can_be_verified(answer: bytes) -> None:
    """The parser is that of deliveries, so an odd answer is read alike in both."""
    got, _ = fetched(answering(answer, close=True))

    assert got == (b"the proof", 'a file: "the proof"')


def test_interim_responses_are_skipped() -> None:
    """Only the final response's status and reason count."""
    got, _ = fetched(answering(b"HTTP/1.1 103 Early Hints\r\nLocation: /x\r\n\r\nHTTP/1.1 302 F\r\n\r\n"))

    assert got == (None, "302 F")


def test_a_connection_is_used_once() -> None:
    """The connection is closed after the file, even if the server would keep it open."""

    async def main() -> None:
        async with raw_handler(answering(file(b"x"))) as handler:
            await fetcher().fetch_file(handler.url())
            await asyncio.wait_for(handler.closed.wait(), 5)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("header", "named"),
    [
        (b"Content-Encoding: gzip", "gzip"),
        (b"content-encoding:\tbr", "br"),
        (b"Content-Encoding: identity, DEFLATE", "DEFLATE"),
        (b"Content-Encoding: gzip\r\nContent-Encoding: zstd", "gzip, zstd"),
        (b"Transfer-Encoding: gzip, chunked", "gzip"),
        (b"X: no header says so", "gzip"),
    ],
)
def test_compressed_files_are_reported_and_not_inflated(header: bytes, named: str) -> None:
    """A compressed file stays compressed: it cannot grow in memory. The message names the encoding and the way out."""
    packed = gzip.compress(b"y" * 1_000_000)[:4000]
    body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(packed), packed) if b"chunked" in header else packed
    got, _ = fetched(answering(b"HTTP/1.1 200 OK\r\n" + header + b"\r\nConnection: close\r\n\r\n" + body, close=True))

    assert got.body == packed
    assert got.found.startswith(f"a file compressed with {named} although")


def test_a_plain_file_with_a_false_encoding_is_the_proof() -> None:
    """What counts is the content: a server that only claims to have compressed it has not."""

    async def main() -> None:
        answer = file(file_content(TOKEN).encode(), b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip")
        async with raw_handler(answering(answer)) as handler:
            assert (await search_for_proof(fetcher(), handler.url(), TOKEN)).location is not None

    asyncio.run(main())


@pytest.mark.parametrize("start", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"])
def test_slow_servers_time_out(start: bytes) -> None:
    """A server that hangs, before or during its response, costs the timeout."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: RawHandler) -> None:
        await read_request(reader)
        writer.write(start)
        while True:
            writer.write(b"x" if start else b"")
            await asyncio.sleep(0.05)

    got, _ = fetched(script, timeout_s=0.3)

    assert got == (None, "no answer arrived within 0.3 s")


def test_broken_connections_are_explained() -> None:
    """A server that disconnects and one that does not exist each have a message."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: RawHandler) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

    async def main() -> None:
        async with raw_handler(script) as handler:
            proof_fetcher = fetcher()
            broken = await proof_fetcher.fetch_file(handler.url())
        gone = await proof_fetcher.fetch_file(handler.url())

        assert broken.body is None
        assert broken.found
        assert gone.body is None
        assert gone.found.startswith("no connection could be made")

    asyncio.run(main())


def test_messages_are_harmless() -> None:
    """A message shows only the start of a file, on one line, without control characters."""
    got, _ = fetched(answering(file(b"\x1b[31m<b>\r\n\xff" + b"z" * 300)))

    assert got.found.isprintable()
    assert len(got.found) < 150


def test_no_cookies_are_kept() -> None:
    """A cookie from a server is not sent the next time."""

    async def main() -> None:
        async with raw_handler(answering(file(b"x", b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b"))) as handler:
            proof_fetcher = fetcher()
            for _ in range(2):
                await proof_fetcher.fetch_file(handler.url())

            assert handler.connections == 2
            assert b"ookie" not in handler.requests[1]

    asyncio.run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "[::ffff:127.0.0.1]"])
def test_banned_addresses_are_not_connected_to(host: str) -> None:
    """The message names the banned address."""

    async def main() -> None:
        async with raw_handler(answering(OK)) as handler:
            got = await fetcher(HandlerPolicy(())).fetch_file(handler.url(host=host))

            assert got.body is None
            assert "is not allowed" in got.found
            assert handler.connections == 0

    asyncio.run(main())


def test_a_redirect_to_a_banned_address_is_not_followed() -> None:
    """A redirect to a private address is not followed."""

    async def main() -> None:
        async with raw_handler(answering(OK)) as inner:
            location = f"HTTP/1.1 301 Moved\r\nLocation: {inner.url()}\r\nContent-Length: 0\r\n\r\n".encode()
            async with raw_handler(answering(location)) as outer:
                got = await fetcher().fetch_file(outer.url())

            assert got.body is None
            assert inner.connections == 0

    asyncio.run(main())


def test_names_are_resolved_only_by_our_resolver() -> None:
    """The connection goes to the first permitted address that responds, with the name in Host;
    unknown names are reported.
    """

    async def main() -> None:
        async def look_up(host: str) -> list[str]:
            if host == "shop.example":
                return ["10.0.0.1", "127.0.0.2", "127.0.0.1"]
            raise OSError(-2, "Name or service not known")

        async with raw_handler(answering(file(b"x"))) as handler:
            proof_fetcher = fetcher(LOCAL, look_up)
            got = await proof_fetcher.fetch_file(handler.url(host="shop.example"))
            unknown = await proof_fetcher.fetch_file(handler.url(host="gone.example"))

            assert got.body == b"x"
            assert b"ost: shop.example:%d\r\n" % handler.port in handler.requests[0]
            assert unknown == (None, "gone.example does not resolve: Name or service not known")

    asyncio.run(main())


def test_the_second_address_is_reached_in_time() -> None:
    """A host whose first address drops packets can still be verified."""

    async def main() -> None:
        async def look_up(_host: str) -> list[str]:
            return ["127.0.0.2", "127.0.0.1"]

        async with raw_handler(answering(file(file_content(TOKEN).encode()))) as handler:
            with dropping_packets("127.0.0.2", handler.port):
                proof_fetcher = fetcher(LOCAL, look_up, timeout_s=4.0)
                found = await search_for_proof(proof_fetcher, handler.url(host="shop.example"), TOKEN)

            assert found.location is not None

    asyncio.run(main())


@pytest.mark.parametrize("host", ["xn--i-7iq.example", "a_b.example", "-a-.example", "shop.example.", "a..b", "a" * 70])
def test_every_possible_host_of_a_handler_works(host: str) -> None:
    """Every host that deliveries can reach can also serve its file, however odd its name."""

    async def main() -> None:
        async def look_up(_host: str) -> list[str]:
            return ["127.0.0.1"]

        async with raw_handler(answering(file(b"x"))) as handler:
            url = handler.url("/a/%7Bb%7D|'\"<>{}^`", host=host)
            got = await fetcher(LOCAL, look_up).fetch_file(HandlerUrl(url).text)

            assert got.body == b"x"
            assert f"GET {urlsplit(url).path} HTTP/1.1\r\n".encode() in handler.requests[0]
            assert f"ost: {host}:{handler.port}\r\n".encode() in handler.requests[0]

    asyncio.run(main())


def test_a_literal_ipv6_host() -> None:
    """A bracketed address is connected to directly, and keeps its brackets in Host."""

    async def main() -> None:
        async with raw_handler(answering(file(b"x")), host="::1") as handler:
            got = await fetcher(HandlerPolicy(parse_networks("::1/128"))).fetch_file(handler.url(host="[::1]"))

            assert got.body == b"x"
            assert f"ost: [::1]:{handler.port}\r\n".encode() in handler.requests[0]

    asyncio.run(main())


def test_an_internal_error_is_a_finding(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception is logged with its traceback, and the message reveals nothing of it."""

    async def look_up(_host: str) -> list[str]:
        raise KeyError("location")

    async def main() -> None:
        proof_fetcher = fetcher(LOCAL, look_up)
        got = await proof_fetcher.fetch_file("http://shop.example/x.txt")

        assert got == (None, "the check failed with an unexpected error, which was logged")

    asyncio.run(main())
    assert caplog.records[-1].exc_info is not None


def test_tls_checks_the_name(tmp_path: Path) -> None:
    """With https the certificate must match the name, although the connection goes to an address."""

    async def main() -> None:
        certificates = make_certificates(tmp_path, "shop.example")

        async def look_up(_host: str) -> list[str]:
            return ["127.0.0.1"]

        async with raw_handler(answering(file(b"x")), tls=certificates.server) as handler:
            proof_fetcher = PinnedProofFetcher(PinnedHttpClient(HandlerResolver(LOCAL, look_up), certificates.client))
            good = await proof_fetcher.fetch_file(handler.url(host="shop.example", scheme="https"))
            misnamed = await proof_fetcher.fetch_file(handler.url(host="other.example", scheme="https"))

            dotted = await proof_fetcher.fetch_file(handler.url(host="shop.example.", scheme="https"))

            assert good.body == dotted.body == b"x"
            assert misnamed.body is None
            assert "other.example" in misnamed.found

    asyncio.run(main())


# --- DNS


class NameServer(asyncio.DatagramProtocol):
    """A UDP name server that knows a few TXT records."""

    def __init__(self, records: dict[str, list[str]]) -> None:
        self.records = records
        self.is_silent = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self.is_silent:
            return
        query = dns.message.from_wire(data)
        answer = dns.message.make_response(query)
        name = str(query.question[0].name).rstrip(".")
        if name not in self.records:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif self.records[name]:
            answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "TXT", *self.records[name]))
        self.transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def name_server(**records: list[str]) -> AsyncIterator[tuple[NameServer, str]]:
    """A running name server and its `host:port`; `__` in a keyword stands for a dot."""
    known = {name.replace("__", "."): texts for name, texts in records.items()}
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: NameServer(known), ("127.0.0.1", 0)
    )
    try:
        yield server, f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    finally:
        transport.close()


def test_txt_records_are_read() -> None:
    """Each TXT record is one entry with its strings joined; a missing one has a message."""

    async def main() -> None:
        async with name_server(a__example=['"one" "two"', '"three"'], empty__example=[]) as (_, address):
            proof_fetcher = fetcher(nameserver=address)
            found = await proof_fetcher.fetch_txt("a.example")

            assert sorted(f.body or b"" for f in found) == [b"onetwo", b"three"]
            assert await proof_fetcher.fetch_txt("no.example") == [
                FetchedProof(None, "the name no.example does not exist")
            ]
            assert await proof_fetcher.fetch_txt("empty.example") == [
                FetchedProof(None, "the name empty.example has no TXT record")
            ]

    asyncio.run(main())


def test_a_silent_name_server_times_out() -> None:
    """A name server that does not answer costs the time-out."""

    async def main() -> None:
        async with name_server() as (server, address):
            server.is_silent = True
            proof_fetcher = fetcher(nameserver=address, timeout_s=0.3)

            assert await proof_fetcher.fetch_txt("a.example") == [
                FetchedProof(None, "the name servers did not answer within 0.3 s")
            ]

    asyncio.run(main())


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "a..b"])
def test_impossible_names_are_explained(name: str) -> None:
    """A name that DNS cannot hold has a message."""

    async def main() -> None:
        async with name_server() as (_, address):
            (found,) = await fetcher(nameserver=address).fetch_txt(name)

            assert found.body is None
            assert "could not be looked up" in found.found

    asyncio.run(main())


# --- the whole search


def test_the_search_order() -> None:
    """The file is searched next to the script and at the root; DNS is queried only if neither proves it."""

    async def main() -> None:
        token = TOKEN
        served = {f"GET /{file_name(token)} ".encode(): file_content(token).encode()}

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: RawHandler) -> None:
            request = await read_request(reader)
            content = [body for start, body in served.items() if request.startswith(start)]
            writer.write(file(content[0] if content else b"something else"))
            await writer.drain()

        async def look_up(_host: str) -> list[str]:
            return ["127.0.0.1"]

        records = {"_feedback-loops__shop__example": [f'"{file_content(token)}"', '"other"']}
        async with raw_handler(script) as handler, name_server(**records) as (names, address):
            proof_fetcher = fetcher(LOCAL, look_up, nameserver=address)
            url = handler.url("/dir/x.php", host="shop.example")
            by_file = await search_for_proof(proof_fetcher, url, token)
            served.clear()
            by_name = await search_for_proof(proof_fetcher, url, token)
            names.records = {}
            nowhere = await search_for_proof(proof_fetcher, url, token)

            assert [f.matched for f in by_file.findings] == [False, True]
            assert by_file.location == handler.url(f"/{file_name(token)}", host="shop.example")
            assert by_file.findings[0].found == 'a file: "something else", which is not the proof'
            assert [f.matched for f in by_name.findings] == [False, False, True]
            assert by_name.location == "dns:_feedback-loops.shop.example"
            assert (nowhere.location, len(nowhere.findings)) == (None, 3)

    asyncio.run(main())

"""Misbehaving handlers on 127.0.0.1: each runs a script over a raw socket."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import ipaddress
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class RawHandler:
    """A running handler and what it has seen."""

    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0
    #: Set when a client's connection has ended.
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/dir/script.php", host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter, RawHandler], Awaitable[None]]


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """One whole request, head and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return head + await reader.readexactly(length)


def answering(*answers: bytes, close: bool = False) -> Script:
    """A script that sends the next answer to each request; the last answer repeats."""
    left = list(answers)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: RawHandler) -> None:
        while True:
            handler.requests.append(await read_request(reader))
            writer.write(left.pop(0) if len(left) > 1 else left[0])
            await writer.drain()
            if close:
                return

    return script


def reset(writer: asyncio.StreamWriter) -> None:
    """Ends the connection with RST in place of FIN."""
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@contextmanager
def dropping_packets(address: str, port: int) -> Iterator[None]:
    """Makes an address of this machine ignore attempts to connect to a port: its queue of connections is full."""
    with socket.socket() as listener, contextlib.ExitStack() as queued:
        listener.bind((address, port))
        listener.listen(0)
        while True:
            client = queued.enter_context(socket.socket())
            client.settimeout(0.2)
            try:
                client.connect((address, port))
            except TimeoutError:
                break
        yield


@asynccontextmanager
async def raw_handler(
    script: Script, *, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1"
) -> AsyncIterator[RawHandler]:
    """Runs the script for each connection until the block ends."""
    handler = RawHandler()
    tasks: set[asyncio.Task[None]] = set()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        handler.connections += 1
        try:
            await script(reader, writer, handler)
        except (OSError, EOFError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            handler.closed.set()
            writer.transport.close()
            tasks.discard(task)

    server = await asyncio.start_server(connected, host, 0, ssl=tls)
    handler.port = server.sockets[0].getsockname()[1]
    try:
        yield handler
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def eventually(is_so: Callable[[], bool], within_s: float = 20.0) -> None:
    """Waits until `is_so` returns true, at most `within_s`."""
    async with asyncio.timeout(within_s):
        while not is_so():
            await asyncio.sleep(0.005)


@dataclass(frozen=True)
class Certificates:
    """TLS contexts of a server with a self-signed certificate, and of a client that trusts it."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def make_certificates(directory: Path, *names: str) -> Certificates:
    """Creates certificates for these host names and addresses."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test authority")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_alternative(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = directory / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(path)
    return Certificates(server, ssl.create_default_context(cafile=str(path)))


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)

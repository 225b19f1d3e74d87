"""Sockets of the service before authentication: idle and half-sent connections cost little, and end soon."""

from __future__ import annotations

import contextlib
import json
import select
import socket
import time
from collections.abc import Callable, Iterable, Iterator

import psutil
import pytest

from actors.ipc.frames import HEADER
from actors.ipc.handshake import PROOF
from actors.settings.data_dir import gateway_socket_path
from tests.e2e.test_main_job import path_of, register
from tests.ports import is_frame_server
from tests.service import Service, eventually

#: Connections of each kind to each socket.
CONNECTIONS = 150
#: Of one process.
MAX_GROWTH_BYTES = 20_000_000
MAX_OPEN_S = 15.0
HALF_A_PROOF = HEADER.pack(48, PROOF, 0) + b"x" * 47
LONG_FRAME = HEADER.pack(64 << 20, PROOF, 0) + b"x" * 65_536
HALF_A_HEAD = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nX-Long: " + b"x" * 60_000
HALF_A_BODY = b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\n[" + b" " * 60_000
ONE_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

Connect = Callable[[], socket.socket]


def tcp(port: int) -> Connect:
    return lambda: socket.create_connection(("127.0.0.1", port), timeout=5)


def unix(path: str) -> Connect:
    def connect() -> socket.socket:
        made = socket.socket(socket.AF_UNIX)
        made.connect(path)
        return made

    return connect


@pytest.fixture
def open_files() -> Iterator[None]:
    """As many as this process may have."""
    import resource  # noqa: PLC0415

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_no_socket_spends_much_on_strangers(service: Service, open_files: None) -> None:
    """No process grows by 20 MB, every connection is closed within 15 s, and the service works meanwhile."""
    account = service.account()
    assert service.http.get(path_of(register(account)["open_url"])).status_code == 200
    processes = {
        process.pid: process
        for role in ("front", "gateway", "ledger", "supervisor", "enricher", "host", "loop")
        for process in service.processes(role)
    }
    # Each listens when it is first asked for its address: because of the click, all but one do.
    listeners: dict[int, int] = eventually(lambda: _frame_servers(processes.values(), service.port), 10, "they listen")
    targets: list[tuple[Connect, bytes]] = [
        (connect, sent)
        for connect in [*map(tcp, listeners), unix(str(gateway_socket_path(service.data_dir)))]
        for sent in (b"", HALF_A_PROOF, LONG_FRAME)
    ]
    targets += [(tcp(service.port), sent) for sent in (b"", HALF_A_HEAD, HALF_A_BODY, ONE_REQUEST)]

    before = {pid: process.memory_info().rss for pid, process in processes.items()}
    opened = [_opened(connect, sent) for connect, sent in targets for _ in range(CONNECTIONS)]
    began_s = time.monotonic()
    grown = {pid: process.memory_info().rss - before[pid] for pid, process in processes.items()}
    account.messages([{"recipient": "meanwhile@example.com"}])
    waiting = {sock.fileno(): sock for sock in opened}
    poll = select.poll()
    for descriptor in waiting:
        poll.register(descriptor, select.POLLIN)
    while waiting and time.monotonic() - began_s < MAX_OPEN_S * 2:
        for descriptor, _ in poll.poll(200):
            if _is_ended(waiting[descriptor]):
                poll.unregister(descriptor)
                waiting.pop(descriptor).close()
    took_s = time.monotonic() - began_s
    grown = {pid: max(grown[pid], process.memory_info().rss - before[pid]) for pid, process in processes.items()}

    print(json.dumps({"connections": len(opened), "seconds": round(took_s, 1), "grown": sorted(grown.values())}))
    assert not waiting, f"{len(waiting)} connections are still open"
    assert took_s < MAX_OPEN_S
    assert max(grown.values()) < MAX_GROWTH_BYTES


def _frame_servers(processes: Iterable[psutil.Process], http_port: int) -> dict[int, int]:
    """Process ids by the ports of the frame servers. Empty until ledger, supervisor and an enricher have one."""
    found = {
        port: process.pid
        for process in processes
        for port in {c.laddr.port for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN}
        if port != http_port and is_frame_server("127.0.0.1", port)
    }
    return found if len(found) >= 3 else {}


def _opened(connect: Connect, sent: bytes) -> socket.socket:
    sock = connect()
    sock.setblocking(False)
    with contextlib.suppress(OSError):
        sock.send(sent)
    return sock


def _is_ended(sock: socket.socket) -> bool:
    """Reads what has arrived, and returns whether the other end has closed the connection."""
    try:
        while sock.recv(4096):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True

"""Responder on an inherited socket: every client gets its answer at once, and the socket stays its owner's."""

from __future__ import annotations

import socket
import threading
import time

import httpx

from actors.processes.refusal import refuse_requests
from tests.listening_socket import held_socket


def test_requests_get_503_with_the_reason() -> None:
    """Also those that waited before, those with a long body, and those beside a client that sends nothing."""
    with held_socket() as held:
        port = held.getsockname()[1]
        early = socket.create_connection(("127.0.0.1", port))
        early.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        silent = socket.create_connection(("127.0.0.1", port))
        responder = threading.Thread(target=refuse_requests, args=(held.dup(), "the journal is not there", 1.5))
        began_s = time.monotonic()
        responder.start()

        answers = [
            httpx.get(f"http://127.0.0.1:{port}/c/x", trust_env=False),
            httpx.post(f"http://127.0.0.1:{port}/v1/events", content=bytes(300_000), trust_env=False),
        ]

        for answer in answers:
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "5"
            assert answer.json()["detail"] == "the journal is not there"
        assert early.recv(1000).startswith(b"HTTP/1.1 503 ")
        responder.join(10)
        assert time.monotonic() - began_s > 1.4
        early.close()
        silent.close()
        # The owner's socket still listens.
        socket.create_connection(("127.0.0.1", port)).close()

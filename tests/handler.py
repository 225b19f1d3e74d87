"""Fake handler: a real HTTP server that keeps every request and answers as configured."""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl

from tests.service import eventually


@dataclass(frozen=True, slots=True)
class Received:
    """One POST."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def form(self) -> list[tuple[str, str]]:
        """The form's pairs, in order."""
        return parse_qsl(self.body.decode(), keep_blank_values=True, strict_parsing=True)

    @property
    def fields(self) -> dict[str, str]:
        """The form's pairs; for a repeated name, the last value."""
        return dict(self.form)


class Handler:
    """A real HTTP(S) server on `host`. `files` are served to GET; POSTs get `status`."""

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.files: dict[str, bytes] = {}
        self.status = 200
        self.answer_headers: dict[str, str] = {}
        self.answer = b"thank you"
        self.got: list[Received] = []
        handler = self

        class Requests(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                content = handler.files.get(self.path)
                self.reply(404 if content is None else 200, content or b"not here", {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {k.lower(): v for k, v in self.headers.items()}
                handler.got.append(Received("POST", self.path, headers, body))
                self.reply(handler.status, handler.answer, handler.answer_headers)

            def reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Logs nothing."""

        self._server = ThreadingHTTPServer((host, 0), Requests)
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self.base = f"http{'s' if tls else ''}://{host}:{self._server.server_address[1]}"
        self.url = f"{self.base}/dir/script.php"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def wait_for(self, count: int, timeout_s: float = 20) -> list[Received]:
        """Waits for `count` requests, and returns all."""
        eventually(lambda: len(self.got) >= count, timeout_s, f"{count} POSTs arrived")
        return list(self.got)

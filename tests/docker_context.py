"""Build context of an image, as the real Docker client sends it: a server takes the place of the engine."""

from __future__ import annotations

import io
import os
import subprocess
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Engine(ThreadingHTTPServer):
    """The part of Docker's API that `docker build` uses. It keeps the context and builds nothing."""

    def __init__(self) -> None:
        engine = self
        self.context = b""

        class Requests(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                self.reply(b"")

            def do_GET(self) -> None:
                self.reply(b"OK")

            def do_POST(self) -> None:
                engine.context = self.chunks()
                self.reply(b'{"stream": "Successfully built"}\n')

            def chunks(self) -> bytes:
                """The body, which the client sends in chunks."""
                parts = []
                while size := int(self.rfile.readline(), 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)

            def reply(self, body: bytes) -> None:
                self.send_response(200)
                for name, value in (("API-Version", "1.43"), ("OSType", "linux"), ("Content-Type", "application/json")):
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Logs nothing."""

        super().__init__(("127.0.0.1", 0), Requests)


def build_context(source: Path, dockerfile: str) -> tarfile.TarFile:
    """The archive that `docker build` of the source sends. Needs the Docker client."""
    with Engine() as engine:
        threading.Thread(target=engine.serve_forever, daemon=True).start()
        # The classic builder sends everything at once; BuildKit reads .dockerignore with the same code.
        environment = os.environ | {
            "DOCKER_HOST": f"tcp://127.0.0.1:{engine.server_address[1]}",
            "DOCKER_BUILDKIT": "0",
        }
        command = ["docker", "build", "--file", dockerfile, "."]
        done = subprocess.run(
            command, cwd=source, env=environment, capture_output=True, text=True, check=False, timeout=60
        )
        engine.shutdown()
    assert done.returncode == 0, done.stderr
    return tarfile.open(fileobj=io.BytesIO(engine.context))

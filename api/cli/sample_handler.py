"""Sample handler: an HTTP server that serves verification files, checks signatures and passes events on."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from api.cli.commands.signature_check import signature_problem
from api.cli.event_rendering import CHECKED, ReceivedEvent
from api.cli.php_form import read_form
from api.http.body import check_json_tokens
from api.http.problems import ProblemError
from api.http.strict_json import read_json

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
#: Opening brackets and commas of a JSON body.
MAX_JSON_TOKENS: Final = 1_000_000
FILE_PREFIX: Final = "feedback-loops-"
FILE_SUFFIX: Final = ".txt"
#: Statuses whose responses have no content (RFC 9110, sections 15.3.5, 15.3.6 and 15.4.5).
_WITHOUT_CONTENT: Final = {HTTPStatus.NO_CONTENT, HTTPStatus.RESET_CONTENT, HTTPStatus.NOT_MODIFIED}
Show = Callable[[ReceivedEvent], None]


class Secrets(NamedTuple):
    """The secrets there are now."""

    keys: list[bytes]
    #: What is wrong with the file that should have one, or None.
    problem: str | None = None


class SampleHandler:
    """The sample handler's logic, without the server."""

    def __init__(
        self, secrets: Callable[[], Secrets], files: Mapping[str, str], folder: Path | None, status: int, show: Show
    ) -> None:
        """`secrets` is asked at each event; `folder` is where verification files may lie besides `files`."""
        self._secrets = secrets
        self._files = dict(files)
        self._folder = folder
        self._status = status
        self._show = show
        self._lock = threading.Lock()

    def file(self, path: str) -> bytes | None:
        """The verification file that a URL's path names, in whatever directory; None when there is none."""
        name = unquote(urlsplit(path).path).rpartition("/")[2]
        if not (name.startswith(FILE_PREFIX) and name.endswith(FILE_SUFFIX) and name.isprintable()):
            return None
        if name in self._files:
            return self._files[name].encode()
        try:
            return None if self._folder is None else (self._folder / name).read_bytes()
        except (OSError, ValueError):
            return None

    def event(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Shows a POST, and gives the status to answer with. `headers` have names in lower case.

        Raises:
            OSError: the output cannot be written.
        """
        at_ns = time.time_ns()
        secrets, unchecked = self._secrets()
        problem = signature_problem(secrets, headers, body, at_ns // 1_000_000_000) if secrets else None
        try:
            fields = _fields(headers.get("content-type", ""), body)
        except (ValueError, ProblemError) as exc:
            fields, problem = {}, f"the body cannot be read: {exc}"
        signature = problem or (CHECKED if secrets else None)
        event = ReceivedEvent(at_ns=at_ns, path=path, fields=fields, signature=signature, unchecked=unchecked)
        with self._lock:  # events that arrive together are shown one after the other
            self._show(event)
        return 400 if problem else self._status


def _fields(content_type: str, body: bytes) -> dict[str, Any]:
    if content_type.partition(";")[0].strip().lower() != "application/json":
        return read_form(body)
    check_json_tokens(body, MAX_JSON_TOKENS)
    fields = read_json(body)
    if not isinstance(fields, dict):
        raise ValueError("it is not a JSON object")  # noqa: TRY004 - of the body, not of an argument
    return fields


class _Requests(BaseHTTPRequestHandler):
    """One connection of a client."""

    server: SampleServer
    protocol_version = "HTTP/1.1"
    server_version = "feedback-loops-listen"
    #: Seconds after which a silent connection is closed.
    timeout = 120
    #: Collects head and body, so that they go out together. Otherwise Nagle's algorithm holds the body back until
    #: the client acknowledges the head, 40 ms later.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        content = self.server.sample.file(self.path)
        self._answer(404 if content is None else 200, b"not here\n" if content is None else content)

    do_HEAD = do_GET  # noqa: N815 - the base class calls it so

    def do_POST(self) -> None:
        length = _length(self.headers.get("Content-Length", ""))
        if length is None:
            self.close_connection = True
            self._answer(411, b"send a Content-Length of at most 32 MiB\n")
            return
        body = self.rfile.read(length)
        if len(body) < length:  # the client went away
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            status = self.server.sample.event(self.path, headers, body)
        except OSError as exc:
            self.close_connection = True
            self.server.end(exc)
            return
        self._answer(status, b"thank you\n")

    def handle_expect_100(self) -> bool:
        is_wanted = super().handle_expect_100()
        self.wfile.flush()
        return is_wanted

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status in _WITHOUT_CONTENT:
            body = b""
        else:
            self.send_header("Content-Type", "text/plain; charset=utf-8")
        if status not in {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}:
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        """Events are shown, requests are not."""


class SampleServer(ThreadingHTTPServer):
    """A listening HTTP server. `serve_forever` runs it, and ends by itself when the output cannot be written."""

    daemon_threads = True

    def __init__(self, host: str, port: int, sample: SampleHandler) -> None:
        """Listens.

        Raises:
            OSError: the port is taken.
            UnicodeError: the host is not a name.
        """
        self.sample = sample
        #: Why it ended by itself.
        self.failure: OSError | None = None
        super().__init__((host, port), _Requests)

    def end(self, failure: OSError) -> None:
        """Ends `serve_forever`, from the thread of a request."""
        self.failure = failure
        self.shutdown()

    def handle_error(self, _request: object, _client: object) -> None:
        """Nothing for a client that went away. Any other error is a bug, in one line."""
        error = sys.exception()
        if not isinstance(error, OSError):
            sys.stderr.write(f"feedback-loops listen: a request failed unexpectedly: {error!r}\n")


def _length(text: str) -> int | None:
    """The length of a body that is accepted, or None."""
    if not (text.isascii() and text.isdigit() and len(text) < 12 and int(text) <= MAX_BODY_BYTES):
        return None
    return int(text)

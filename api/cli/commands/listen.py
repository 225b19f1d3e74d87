"""`feedback-loops listen`: a sample handler. It serves verification files, checks signatures and shows events."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

from api.cli.commands.signature_check import read_secret, signature_problem
from api.cli.event_rendering import CHECKED, ReceivedEvent, rendered
from api.cli.help import Parser, whole_number
from api.cli.php_form import read_form

MAX_BODY_BYTES: Final = 32 * 1024 * 1024
#: Columns of what does not go to a terminal.
_UNWRAPPED: Final = 1_000_000
_FILE_PREFIX, _FILE_SUFFIX = "feedback-loops-", ".txt"
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

    def file(self, path: str) -> bytes | None:
        """The verification file that a URL's path names, in whatever directory; None when there is none."""
        name = unquote(urlsplit(path).path).rpartition("/")[2]
        if not (name.startswith(_FILE_PREFIX) and name.endswith(_FILE_SUFFIX) and name.isprintable()):
            return None
        if name in self._files:
            return self._files[name].encode()
        try:
            return None if self._folder is None else (self._folder / name).read_bytes()
        except OSError:
            return None

    def event(self, path: str, headers: Mapping[str, str], body: bytes) -> int:
        """Shows a POST, and gives the status to answer with. `headers` have names in lower case."""
        at_ns = time.time_ns()
        secrets, unchecked = self._secrets()
        problem = signature_problem(secrets, headers, body, at_ns // 1_000_000_000) if secrets else None
        try:
            fields = _fields(headers.get("content-type", ""), body)
        except ValueError as exc:
            fields, problem = {}, f"the body cannot be read: {exc}"
        signature = problem or (CHECKED if secrets else None)
        self._show(ReceivedEvent(at_ns=at_ns, path=path, fields=fields, signature=signature, unchecked=unchecked))
        return 400 if problem else self._status


def _fields(content_type: str, body: bytes) -> dict[str, Any]:
    if content_type.partition(";")[0].strip().lower() == "application/json":
        fields = json.loads(body)
        if not isinstance(fields, dict):
            raise ValueError("it is not a JSON object")
        return fields
    return read_form(body)


def server(host: str, port: int, sample: SampleHandler) -> ThreadingHTTPServer:
    """A listening HTTP server; `serve_forever` runs it.

    Raises:
        OSError: the port is taken.
    """

    class Requests(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "feedback-loops-listen"
        #: Seconds after which a silent connection is closed.
        timeout = 120

        def do_GET(self) -> None:
            content = sample.file(self.path)
            self._answer(404 if content is None else 200, b"not here\n" if content is None else content)

        do_HEAD = do_GET  # noqa: N815 - the base class calls it so

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not (length.isascii() and length.isdigit() and int(length[:12]) <= MAX_BODY_BYTES):
                self.close_connection = True
                self._answer(411, b"send a Content-Length of at most 32 MiB\n")
                return
            body = self.rfile.read(int(length))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._answer(sample.event(self.path, headers, body), b"thank you\n")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/plain; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
            """Events are shown, requests are not."""

    ThreadingHTTPServer.daemon_threads = True
    return ThreadingHTTPServer((host, port), Requests)


def parser() -> Parser:
    made = Parser(
        prog="feedback-loops listen",
        usage="feedback-loops listen --port PORT [OPTION …]",
        description="A sample handler: serves verification files, checks signatures and shows the events it receives.",
        epilog="Example: feedback-loops listen --port 9000 --dir handler --secret whsec_…",
    )
    made.add_argument("--port", type=whole_number(0, 65535), required=True, metavar="PORT", help="port to listen on")
    made.add_argument("--host", default="127.0.0.1", metavar="HOST", help="address to listen on; default: 127.0.0.1")
    made.add_argument(
        "--secret",
        action="append",
        default=[],
        type=_secret,
        metavar="whsec_…",
        help="the loop's secret; can be repeated",
    )
    made.add_argument(
        "--secret-file",
        type=Path,
        metavar="FILE",
        help="file with the secret, as the API or `loops create` returns it; read again for each event",
    )
    made.add_argument("--dir", type=Path, metavar="DIR", help="directory of verification files (feedback-loops-….txt)")
    made.add_argument(
        "--verification",
        action="append",
        default=[],
        type=_verification,
        metavar="NAME=CONTENT",
        help="name and content of a verification file; can be repeated",
    )
    made.add_argument(
        "--status",
        type=whole_number(200, 599),
        default=200,
        metavar="STATUS",
        help="status of the responses, 200 to 599; default: 200",
    )
    made.add_argument("--quiet", action="store_true", help="show nothing")
    made.add_argument("--json", action="store_true", help="show each event as one line of JSON")
    return made


def _secret(text: str) -> bytes:
    try:
        return read_secret(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def _verification(text: str) -> tuple[str, str]:
    name, equals, content = text.partition("=")
    if not equals or not name.startswith(_FILE_PREFIX) or not name.endswith(_FILE_SUFFIX):
        raise argparse.ArgumentTypeError("must be feedback-loops-….txt=CONTENT")
    return name, content


def secrets_of(given: Sequence[bytes], file: Path | None) -> Secrets:
    """The secrets given and those in the file: words, or the API's JSON with a `secret` in it."""
    if file is None:
        return Secrets(list(given))
    try:
        words = _words(file.read_text())
        if not words:
            return Secrets(list(given), f"{file} is empty")
        return Secrets([*given, *map(read_secret, words)])
    except FileNotFoundError:
        return Secrets(list(given), f"{file} does not exist")
    except OSError as exc:
        return Secrets(list(given), f"{file} cannot be read: {exc.strerror}")
    except ValueError as exc:
        return Secrets(list(given), f"{file} does not contain a secret: {exc}")


def _words(text: str) -> list[str]:
    if not text.lstrip().startswith("{"):
        return text.split()
    secret = json.loads(text).get("secret")
    return [str(secret)]


def _printer(options: argparse.Namespace) -> Show:
    if options.quiet:
        return lambda _event: None
    if options.json:
        return lambda event: print(event.to_json(), flush=True)  # noqa: T201 - the command's output
    from rich.console import Console  # noqa: PLC0415 - not needed by the others

    console = Console(soft_wrap=True, highlight=False)
    width = console.width if console.is_terminal else _UNWRAPPED
    return lambda event: console.print(rendered(event, width), "", sep="\n")


def run(arguments: Sequence[str], _environment: Mapping[str, str]) -> int:
    """Listens until Ctrl-C."""
    options = parser().parse_args(arguments)
    sample = SampleHandler(
        secrets=lambda: secrets_of(options.secret, options.secret_file),
        files=dict(options.verification),
        folder=options.dir,
        status=options.status,
        show=_printer(options),
    )
    try:
        listening = server(options.host, options.port, sample)
    except OSError as exc:
        sys.stderr.write(f"feedback-loops listen: cannot listen at {options.host} port {options.port}: {exc}\n")
        return 1
    with listening:
        sys.stderr.write(f"listening at http://{options.host}:{options.port}/ — press Ctrl-C to stop\n")
        listening.serve_forever()
    return 0

"""`feedback-loops listen`: a sample handler. It serves verification files, checks signatures and shows events."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from api.cli.commands.signature_check import read_secret
from api.cli.event_rendering import rendered
from api.cli.help import Parser, expanded_path, whole_number
from api.cli.sample_handler import FILE_PREFIX, FILE_SUFFIX, SampleHandler, SampleServer, Secrets, Show

#: Columns of what does not go to a terminal.
_UNWRAPPED: Final = 1_000_000


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
        type=_file,
        metavar="FILE",
        help="file with the secret, as the API or `loops create` returns it; read again for each event",
    )
    made.add_argument(
        "--dir", type=_folder, metavar="DIR", help="directory of verification files (feedback-loops-….txt)"
    )
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


def _file(text: str) -> Path:
    path = expanded_path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a directory")
    return path


def _folder(text: str) -> Path:
    path = expanded_path(text)
    if path.exists() and not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is not a directory")
    return path


def _verification(text: str) -> tuple[str, str]:
    name, equals, content = text.partition("=")
    if not equals or not name.startswith(FILE_PREFIX) or not name.endswith(FILE_SUFFIX):
        raise argparse.ArgumentTypeError("must be feedback-loops-….txt=CONTENT")
    return name, content


def secrets_of(given: Sequence[bytes], file: Path | None) -> Secrets:
    """The secrets given and those in the file: words, or the API's JSON with a `secret` in it."""
    if file is None:
        return Secrets(list(given))
    try:
        words = _words(file.read_text("utf-8"))
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
    try:
        return [str(json.loads(text).get("secret"))]
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


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
    """Listens until Ctrl-C.

    Raises:
        OSError: the output cannot be written.
    """
    options = parser().parse_args(arguments)
    sample = SampleHandler(
        secrets=lambda: secrets_of(options.secret, options.secret_file),
        files=dict(options.verification),
        folder=options.dir,
        status=options.status,
        show=_printer(options),
    )
    try:
        listening = SampleServer(options.host, options.port, sample)
    except (OSError, UnicodeError) as exc:
        sys.stderr.write(f"feedback-loops listen: cannot listen at {options.host} port {options.port}: {exc}\n")
        return 1
    with listening:
        sys.stderr.write(f"listening at http://{options.host}:{listening.server_port}/; press Ctrl-C to stop\n")
        listening.serve_forever()
    if listening.failure is not None:
        raise listening.failure
    return 0

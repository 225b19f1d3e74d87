"""`feedback-loops demo`: the main job, from a click in a mail to a handler, by real processes on this machine."""

from __future__ import annotations

import re
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

import httpx
from rich.console import Console
from rich.text import Text

from actors.processes.serve_supervisor import child_environment
from actors.settings import MARKS
from actors.settings.options import ENV_PREFIX
from api.cli.api_client import needs_certificates
from api.cli.child_process import OwnProcess, accepts, free_port
from api.cli.event_rendering import CHECKED, ReceivedEvent, rendered
from api.cli.help import Parser, wrapped

BROWSER: Final = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Referer": "https://mail.example/inbox",
}
HTML: Final = (
    '<html><body><h1>Hello John</h1><a href="https://shop.example/spring?size=m">Our spring sale</a></body></html>'
)
READY_TIMEOUT_S: Final = 60.0
EVENT_TIMEOUT_S: Final = 10.0
#: As wide as the picture in the README.
WIDTH: Final = 80


class DemoFailed(Exception):
    """A step did not do what it should; says which and what happened instead."""


def _own_variables_dropped(environment: Mapping[str, str]) -> dict[str, str]:
    """The demo is the same for everybody, whatever is set for their own service."""
    return {name: value for name, value in environment.items() if name in MARKS or not name.startswith(ENV_PREFIX)}


def parser() -> Parser:
    made = Parser(
        prog="feedback-loops demo",
        usage="feedback-loops demo [--svg FILE]",
        description="Starts the service and a sample handler on free ports of this machine, creates a feedback loop, "
        "opens and clicks a message, and shows what the handler receives. Leaves nothing behind.",
    )
    made.add_argument("--svg", type=Path, metavar="FILE", help="also save the output as a picture")
    return made


class Interruption:
    """Ctrl-C and SIGTERM. The first one ends the steps; the clean-up is never broken off, a second makes it quick."""

    def __init__(self) -> None:
        #: The first signal's number, 0 while there was none.
        self.number = 0
        #: What the clean-up ends.
        self.processes: list[OwnProcess] = []
        #: From here on a signal breaks nothing off.
        self.is_cleaning_up = False

    def listen(self) -> None:
        """Takes the signals over."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        is_first, self.number = not self.number, self.number or number
        if not is_first:
            for process in self.processes:
                process.hurry()
        elif not self.is_cleaning_up:
            self.is_cleaning_up = True
            sys.stderr.write("stopping: a few seconds to clean up\n")
            raise KeyboardInterrupt


class Demo:
    """The steps, in order, and what they show."""

    def __init__(
        self, console: Console, folder: Path, environment: Mapping[str, str], interruption: Interruption
    ) -> None:
        self._console = console
        self._folder = folder
        self._environment = environment
        self._interruption = interruption
        self._admin_key = secrets.token_urlsafe(24)
        self._port, self._handler_port = free_port(), free_port()
        url = f"http://127.0.0.1:{self._port}"
        self._http = httpx.Client(base_url=url, timeout=20, trust_env=False, verify=needs_certificates(url))
        self._steps = 0

    def run(self) -> None:
        """Everything.

        Raises:
            DemoFailed: something is not as it should be.
        """
        self._console.print(Text.assemble(("feedback-loops demo", "bold"), ": from a click in a mail to your script\n"))
        with ExitStack() as stack:
            stack.callback(self._http.close)
            service = self._start(stack, "serve", "--port", str(self._port), "--data-dir", str(self._folder / "data"))
            handler = self._start(
                stack,
                *("listen", "--json", "--port", str(self._handler_port)),
                *("--dir", str(self._folder), "--secret-file", str(self._folder / "secret")),
            )
            self._wait_ready(service)
            if not accepts(self._handler_port, 10):
                raise DemoFailed(f"the sample handler does not listen:\n{handler.last_words()}")
            key = self._make_account()
            self._make_loop(key)
            message = self._register_message(key)
            self._hit(handler, "a mail program loads the pixel", "open", message["open_url"], 200)
            (link,) = message["links"].values()
            self._hit(handler, "the reader clicks the link", "click", link, 302)
            self._interruption.is_cleaning_up = True
        self._console.print("[bold green]All of it worked.[/] Next: README.md, “Quick start”.")

    def _start(self, stack: ExitStack, *arguments: str) -> OwnProcess:
        environment = child_environment(_own_variables_dropped(self._environment)) | {
            "FEEDBACK_LOOPS_ALLOWED_HANDLER_NETWORKS": "127.0.0.0/8",
            "FEEDBACK_LOOPS_ADMIN_KEY": self._admin_key,
        }
        process = OwnProcess(arguments, environment, self._folder / f"{arguments[0]}.log")
        self._interruption.processes.append(process)
        stack.callback(process.stop)
        return process

    @contextmanager
    def _step(self, what: str) -> Iterator[list[str]]:
        """Shows a step when it is done, with its time and whatever was put into the list."""
        self._steps += 1
        began_s = time.perf_counter()
        notes: list[str] = []
        yield notes
        took_s = time.perf_counter() - began_s
        took = f"{took_s:.1f} s" if took_s >= 1 else f"{1000 * took_s:.0f} ms"
        self._console.print(Text.assemble((f"{self._steps} ", "bold cyan"), (what, "bold"), (f"  {took}", "dim")))
        for note in notes:
            self._console.print(Text(wrapped(note, self._console.width, "  "), style="dim"))

    def _wait_ready(self, service: OwnProcess) -> None:
        with self._step("start the service and wait for /readyz") as notes:
            deadline_s = time.monotonic() + READY_TIMEOUT_S
            while not self._is_ready():
                if not service.is_running or time.monotonic() > deadline_s:
                    raise DemoFailed(f"the service is not ready:\n{service.last_words()}")
                time.sleep(0.05)
            notes.append(f"service at {self._http.base_url}, sample handler at http://127.0.0.1:{self._handler_port}")

    def _is_ready(self) -> bool:
        try:
            return self._http.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def _call(self, method: str, path: str, expected: int, key: str, body: object = None) -> dict[str, Any]:
        answer = self._http.request(method, path, json=body, headers={"Authorization": f"Bearer {key}"})
        if answer.status_code != expected:
            raise DemoFailed(f"{method} {path} answered {answer.status_code}, not {expected}: {answer.text[:1000]}")
        found: dict[str, Any] = answer.json()
        return found

    def _make_account(self) -> str:
        with self._step("POST /v1/accounts") as notes:
            account = self._call("POST", "/v1/accounts", 201, self._admin_key, {"name": "Demo"})
            notes.append(f"{account['id']} and its API key")
        return str(account["api_key"])

    def _make_loop(self, key: str) -> None:
        url = f"http://127.0.0.1:{self._handler_port}/dir/script.php"
        with self._step("POST /v1/feedback-loops") as notes:
            loop = self._call("POST", "/v1/feedback-loops", 201, key, {"url": url, "triggers": ["open", "click"]})
            (self._folder / "secret").write_text(loop["secret"])
            notes.append(f"{loop['id']} for {url}, {loop['state']}")
        proof = loop["verification"]
        with self._step("place the verification file and POST …/verify") as notes:
            (self._folder / proof["file_name"]).write_text(proof["file_content"])
            loop = self._call("POST", f"/v1/feedback-loops/{loop['id']}/verify", 200, key)
            notes.append(f"{proof['file_name']} was found: the loop is {loop['state']}")

    def _register_message(self, key: str) -> dict[str, Any]:
        with self._step("PUT a profile and POST /v1/messages with HTML"):
            profile = {"fields": {"name": "John", "city": "Amsterdam"}, "interests": ["shoes", "hats"]}
            self._call("PUT", "/v1/databases/1/profiles/123", 201, key, profile)
            message = {
                "recipient": "john@example.com",
                "tags": ["spring", "newsletter"],
                "profile": {"database": "1", "id": "123"},
                "html": HTML,
            }
            found = self._call("POST", "/v1/messages", 201, key, message)
        if any(url not in found["html"] for url in (found["open_url"], *found["links"].values())):
            raise DemoFailed(f"the HTML was not rewritten: {found['html']}")
        return found

    def _hit(self, handler: OwnProcess, what: str, kind: str, url: str, expected: int) -> None:
        with self._step(what) as notes:
            hit_ns = time.time_ns()
            answer = self._http.get(url, headers=BROWSER)
            answered_ms = (time.time_ns() - hit_ns) / 1e6
            where = f" to {answer.headers['location']}" if answer.is_redirect else ""
            notes.append(f"answered {answer.status_code}{where} after {answered_ms:.1f} ms")
            if answer.status_code != expected:
                raise DemoFailed(f"GET {url} answered {answer.status_code}, not {expected}")
            event = self._event(handler, kind)
            notes.append(f"the handler has it {(event.at_ns - hit_ns) / 1e6:.1f} ms after the hit was sent:")
        shown = rendered(event, self._console.width - 2)
        self._console.print(Text("\n").join(Text("  ").append_text(line) for line in shown.split("\n")), "", sep="\n")

    def _event(self, handler: OwnProcess, kind: str) -> ReceivedEvent:
        line = handler.line(EVENT_TIMEOUT_S)
        if line is None:
            raise DemoFailed(f"the handler got nothing within {EVENT_TIMEOUT_S:.0f} s")
        event = ReceivedEvent.from_json(line)
        if event.signature != CHECKED or event.fields.get("type") != kind:
            raise DemoFailed(f"the handler got something else: {line}")
        return event


def run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs the demo; 0 when every step did what it should, 130 or 143 after Ctrl-C or SIGTERM."""
    options = parser().parse_args(arguments)
    width = WIDTH if options.svg is not None else None
    console = Console(record=options.svg is not None, width=width, soft_wrap=True, highlight=False)
    interruption = Interruption()
    interruption.listen()
    folder = Path(tempfile.mkdtemp(prefix="feedback-loops-demo-"))
    failure = None
    try:
        Demo(console, folder, environment, interruption).run()
    except (DemoFailed, httpx.HTTPError) as exc:
        failure = f"The demo failed: {exc}"
    except KeyboardInterrupt:
        pass
    finally:
        interruption.is_cleaning_up = True
        shutil.rmtree(folder, ignore_errors=True)
    if interruption.number:
        sys.stderr.write("stopped; everything is cleaned up\n")
        return 128 + interruption.number
    if failure is not None:
        console.print(Text(failure, style="bold red"))
        return 1
    if options.svg is not None:
        # Without the fonts that rich would have the reader's program fetch.
        picture = re.sub(r"@font-face \{[^}]*\}", "", console.export_svg(title="make demo"))
        options.svg.write_text(picture, encoding="utf-8")
    return 0

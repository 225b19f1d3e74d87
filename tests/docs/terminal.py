"""Terminals that run a page's commands as its reader would."""

from __future__ import annotations

import os
import re
import select
import shlex
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Final

import psutil

from tests.docs.snippets import Snippet
from tests.paths import ROOT
from tests.ports import free_port
from tests.service import MARK, eventually, marked

RUN_TIMEOUT_S: Final = 60.0
OUTPUT_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 15.0
#: Reports each command that fails. A reader's shell also continues, but the reader would notice.
_PRELUDE: Final = "trap 'failed=\"$failed, status $?: $BASH_COMMAND\"' ERR\n"
_COLOUR: Final = re.compile(r"\x1b\[[0-9;]*m")


class Reader:
    """A reader who follows a page in an empty directory that has the command and the examples."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        #: Free ports to use instead of the ports in the pages.
        self._ports = {8080: free_port(), 9000: free_port()}
        self._mark = uuid.uuid4().hex
        ours = {name: value for name, value in os.environ.items() if not name.startswith("FEEDBACK_LOOPS_")}
        port = str(self._ports[8080])
        told = {"FEEDBACK_LOOPS_PORT": port, "FEEDBACK_LOOPS_URL": f"http://127.0.0.1:{port}"}
        # Each reader is new: the default data directory is in the home directory, which others use, too.
        told["STATE_DIRECTORY"] = str(folder / "state")
        self._environment = {**ours, **told, MARK: self._mark}
        self._output = ""
        self._logs: dict[str, Path] = {}
        self._background: list[subprocess.Popen[bytes]] = []
        (folder / ".venv/bin").mkdir(parents=True)
        (folder / ".venv/bin/feedback-loops").symlink_to(Path(sys.executable).with_name("feedback-loops"))
        (folder / "examples").symlink_to(ROOT / "examples")
        self._shell = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self._say(_PRELUDE)

    def use(self, port: int, real: int) -> None:
        """Replaces `port` in the pages with the port of a server that already runs."""
        self._ports[port] = real

    def set(self, **variables: str) -> None:
        """Sets variables for the reader's shells."""
        self._environment.update(variables)
        self._say("".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()))

    def follow(self, snippet: Snippet) -> None:
        """Follows the snippet. Raises `AssertionError` if the result differs from the page."""
        text = self._here(snippet.text)
        match snippet.verb:
            case "run":
                self._output = self._run(snippet, text)
            case "background":
                self._start(snippet.rest, text)
            case "file":
                path = self.folder / self._here(snippet.rest)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
            case "output":
                assert pattern(text).fullmatch(words(self._output)), (
                    f"{snippet}: the page says\n{text}\nnot\n{self._output}"
                )
            case "output of":
                self._await_output(snippet, pattern(text), self._logs[snippet.rest])

    def _here(self, text: str) -> str:
        return re.sub(r"\b(8080|9000)\b", lambda match: str(self._ports[int(match[1])]), text)

    def _say(self, text: str) -> None:
        assert self._shell.stdin is not None
        self._shell.stdin.write(text.encode())
        self._shell.stdin.flush()

    def _run(self, snippet: Snippet, text: str) -> str:
        script = self.folder / ".snippet"
        script.write_text(text)
        end = uuid.uuid4().hex
        self._say(f"failed=; source {script} </dev/null; printf '{end}%s\\n' \"$failed\"\n")
        output, failed = self._read_until(end, snippet)
        assert not failed, f"{snippet}: failed{failed}\n{output}"
        return output

    def _read_until(self, end: str, snippet: Snippet) -> tuple[str, str]:
        """Returns the output before the line that begins with `end`, and the rest of that line."""
        assert self._shell.stdout is not None
        shown, deadline_s = b"", time.monotonic() + RUN_TIMEOUT_S
        while not (match := re.search(rb"(.*)%b(.*)\n" % end.encode(), shown, re.DOTALL)):
            ready, _, _ = select.select([self._shell.stdout], [], [], max(deadline_s - time.monotonic(), 0))
            more = os.read(self._shell.stdout.fileno(), 65536) if ready else b""
            assert more, f"{snippet}: it did not end\n{shown.decode(errors='replace')}"
            shown += more
        return match[1].decode(), match[2].decode()

    def _start(self, name: str, text: str) -> None:
        self._logs[name] = self.folder / f".{name}.log"
        with self._logs[name].open("wb") as log:
            started = subprocess.Popen(
                ["bash", "-c", text],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._background.append(started)

    def _await_output(self, snippet: Snippet, wanted: re.Pattern[str], log: Path) -> None:
        try:
            eventually(lambda: wanted.search(words(log.read_text())), OUTPUT_TIMEOUT_S, str(snippet))
        except AssertionError:
            raise AssertionError(f"{snippet}: {snippet.rest} does not show that, but\n{log.read_text()}") from None

    def close(self) -> None:
        """Stops everything that the page started, as Ctrl-C would. Raises `AssertionError` if a process remains."""
        for started in self._background:
            os.killpg(started.pid, signal.SIGTERM)
        self._shell.communicate(timeout=5)
        try:
            eventually(lambda: not self._others(), STOP_TIMEOUT_S, "all processes of the page have ended")
        finally:
            for process in self._others():
                process.kill()
            for started in self._background:
                started.wait()

    def _others(self) -> list[psutil.Process]:
        return marked(self._mark)


def words(text: str) -> str:
    """Returns the text without colours, with single spaces: the widths of columns may differ."""
    return " ".join(_COLOUR.sub("", text).split())


def pattern(text: str) -> re.Pattern[str]:
    """Returns a page's output as a pattern for `words`; `…` matches anything."""
    return re.compile(".*?".join(map(re.escape, words(text).split("…"))))

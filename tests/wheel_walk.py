"""Walk of a new user through an installed wheel: demo, serve, restart, backup, restore.

    python wheel_walk.py FOLDER

Runs with the environment's interpreter, which has nothing of the checkout, so it only imports the standard library.
Prints each step, and ends with an error at the first that fails.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BROWSER = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
READY_S = 60.0
PROGRAM = str(Path(sys.executable).with_name("feedback-loops"))


class Walk:
    """One walk, with its files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.began = time.monotonic()
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.environment = {
            "HOME": str(folder),
            "PATH": f"{Path(PROGRAM).parent}:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "FEEDBACK_LOOPS_URL": f"http://127.0.0.1:{self.port}",
        }
        # By this mark, the test finds what is left of a walk that failed.
        self.environment |= {name: os.environ[name] for name in ("FEEDBACK_LOOPS_TEST_RUN",) if name in os.environ}

    def show(self, *arguments: str) -> None:
        """Shows a command, and the seconds since the beginning."""
        print(f"{time.monotonic() - self.began:5.1f} $ feedback-loops", *arguments, flush=True)

    def run(self, *arguments: str) -> str:
        """The output of one command."""
        self.show(*arguments)
        done = subprocess.run(
            [PROGRAM, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise SystemExit(f"exit code {done.returncode}:\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    @contextmanager
    def service(self, *arguments: str) -> Iterator[None]:
        """The running service, which must stop in order."""
        self.show("serve", *arguments)
        log = self.folder / "serve.log"
        with log.open("ab") as output:
            # The variable of the client is none of the service's.
            environment = {name: value for name, value in self.environment.items() if name != "FEEDBACK_LOOPS_API_KEY"}
            command = [PROGRAM, "serve", "--port", str(self.port), *arguments]
            process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=output, stderr=output)
        try:
            self.wait_ready(process, log)
            yield
            process.send_signal(signal.SIGTERM)
            if (code := process.wait(15)) != 0:
                raise SystemExit(f"serve: exit code {code}\n{log.read_text()}")
        finally:
            process.kill()
            process.wait()

    def wait_ready(self, process: subprocess.Popen[bytes], log: Path) -> None:
        deadline = time.monotonic() + READY_S
        while not self.is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"serve is not ready\n{log.read_text()}")
            time.sleep(0.05)

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def opens(self) -> int:
        """The number of recorded opens."""
        return len(json.loads(self.run("events", "list", "--type", "open", "--json")))

    def expect_open(self) -> None:
        deadline = time.monotonic() + 20
        while self.opens() != 1:
            if time.monotonic() > deadline:
                raise SystemExit("the open was not recorded once")
            time.sleep(0.1)

    def walk(self) -> None:
        if "signature ok" not in self.run("demo"):
            raise SystemExit("the demo shows no event")
        with self.service():
            self.environment["FEEDBACK_LOOPS_API_KEY"] = self.run("accounts", "create", "Shop", "--print", "api_key")
            message = self.run("messages", "register", "john@example.com", "--quiet")
            url = self.run("messages", "show", message, "--print", "open_url")
            with urllib.request.urlopen(urllib.request.Request(url, headers=BROWSER), timeout=10) as answer:
                answer.read()
            self.expect_open()
        with self.service():
            self.expect_open()
            self.run("backup", "copy")
        self.run("restore", "copy", "--data-dir", "restored", "--no-erasures")
        with self.service("--data-dir", "restored"):
            self.expect_open()
        self.run("assets", "assets")
        if not (self.folder / "assets/systemd/feedback-loops.service").is_file():
            raise SystemExit("assets wrote no unit")


if __name__ == "__main__":
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"Python {version}, user {os.geteuid()}", flush=True)
    Walk(Path(sys.argv[1])).walk()

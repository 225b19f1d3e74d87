"""`serve` on a terminal: three plain lines for people, besides the log."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.ports import free_port


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_people_are_told_what_to_do(tmp_path: Path, log_format: str) -> None:
    """The lines give the address, the first user's page and the key that stops it; the log keeps its format."""
    port = free_port()
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "api.cli.main", "serve", "--port", str(port), "--log-format", log_format]
    process = subprocess.Popen(
        [*command, "--data-dir", str(tmp_path / "data")],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    try:
        while b"Press Ctrl-C to stop.\r\n" not in shown:
            shown += os.read(ours, 65536)
    finally:
        process.send_signal(signal.SIGINT)
        while True:
            try:
                shown += os.read(ours, 65536)
            except OSError:
                break
        process.wait(20)
        os.close(ours)

    lines = shown.decode().replace("\r\n", "\n").splitlines()
    log = [line for line in lines if line.startswith("{" if log_format == "json" else "time=")]
    people = [line for line in lines if line not in log]
    assert people[0] == f"Ready at http://127.0.0.1:{port}/"
    assert re.fullmatch(
        rf"Create the first user at http://127\.0\.0\.1:{port}/dashboard/first-run\?token=flf_\w+", people[1]
    )
    assert people[2:] == ["Press Ctrl-C to stop."]
    assert len(log) > 3


def test_nothing_changes_without_a_terminal(tmp_path: Path) -> None:
    """Standard output stays empty, and every line of standard error is one of the log."""
    process = subprocess.Popen(
        [sys.executable, "-m", "api.cli.main", "serve", "--port", "0", "--data-dir", str(tmp_path / "data")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stderr is not None
    seen: list[str] = []
    for line in process.stderr:
        seen.append(line)
        if "action=first_run" in line:
            break
    process.send_signal(signal.SIGINT)
    out, rest = process.communicate(timeout=20)

    assert out == ""
    assert all(line.startswith("time=") for line in [*seen, *rest.splitlines()])

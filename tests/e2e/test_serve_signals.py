"""Signals and failed starts of `serve`: what it logs, how it ends, and what it leaves behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.service import Service, eventually

#: Runs a command where nobody can write to the directories for temporary files.
READ_ONLY_TMP = """
for folder in /tmp /var/tmp /usr/tmp; do [ ! -d $folder ] || mount -t tmpfs -o ro none $folder; done
cd /run; exec "$@"
"""
PROBLEMS = ("level=error", "level=critical", "Traceback")


def errors(log: str) -> list[str]:
    return [line for line in log.splitlines() if any(sign in line for sign in PROBLEMS)]


def test_only_an_orderly_stop_has_exit_code_0(fresh: Service) -> None:
    """SIGHUP changes nothing; SIGTERM ends with 0, a second Ctrl-C at once with 130, and neither logs an error."""
    fresh.start()
    process = fresh.serve_process
    assert process is not None
    process.send_signal(signal.SIGHUP)
    eventually(lambda: "action=hangup_ignored" in fresh.log.read_text(), 5, "the signal is logged")
    assert fresh.is_ready()
    fresh.terminate()
    assert process.returncode == 0
    assert errors(fresh.log.read_text()) == []

    fresh.start()
    process = fresh.serve_process
    assert process is not None
    process.send_signal(signal.SIGINT)
    eventually(lambda: fresh.log.read_text().count("action=stopping") == 2, 5, "the stop has begun")
    process.send_signal(signal.SIGINT)
    assert process.wait(5) == 130
    assert errors(fresh.log.read_text()) == []
    assert not fresh.tree()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_without_a_directory_for_temporary_files_it_says_so(tmp_path: Path) -> None:
    """One sentence that names TMPDIR, and nothing is made in the working directory instead."""
    data = Path("/run") / f"{tmp_path.name}-{os.getpid()}"
    environment = {name: value for name, value in os.environ.items() if name not in {"TMPDIR", "TEMP", "TMP"}}
    done = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-c", READ_ONLY_TMP, "sh", sys.executable, "-P", "-m", "api.cli.main"),
            *("serve", "--port", "0", "--data-dir", str(data)),
        ],
        env={**environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    assert done.stderr.startswith("feedback-loops serve: no directory for temporary files can be written")
    assert done.stderr.endswith("set TMPDIR to one that can\n")
    assert list(Path("/run").glob("fl-*")) == []
    assert not data.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_disk_without_room_is_named(tmp_path: Path) -> None:
    """One sentence with the directory and the reason."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = 'mount -t tmpfs -o size=4k none "$0" && exec "$@"'
    done = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-c", mount, str(disk), sys.executable, "-P", "-m", "api.cli.main"),
            *("serve", "--port", "0", "--data-dir", str(disk / "data")),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 1
    *_, last_line = done.stderr.splitlines()
    reason = f"the data directory {disk / 'data'} cannot be written: No space left on device"
    assert last_line == f"feedback-loops serve: {reason}"

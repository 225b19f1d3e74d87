"""Units of one machine: valid for systemd, hardened, and consistent with the service and its page."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from actors.processes.serve_supervisor import RAY_STOP_S
from api.cli.commands.backup import parser as backup_parser
from api.cli.commands.serve import parser
from tests.paths import ROOT

SYSTEM_UNITS = Path("/usr/lib/systemd/system")
UNITS = (
    "feedback-loops.service",
    "feedback-loops.socket",
    "feedback-loops-backup.service",
    "feedback-loops-backup.timer",
)
PAGE = ROOT / "docs/how-to/install-on-a-server.md"
#: The first release whose `security` reads unit files without a running systemd.
SYSTEMD = 250


def unit(name: str) -> configparser.ConfigParser:
    """A unit; of repeated keys, the last one."""
    parsed = configparser.ConfigParser(interpolation=None, strict=False)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read_string((ROOT / "deploy/systemd" / name).read_text())
    return parsed


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root directory with systemd's own units, ours and the program."""
    program = shutil.which("systemd-analyze")
    shown = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout if program else ""
    found = re.match(r"systemd (\d+)", shown)
    if found is None or int(found[1]) < SYSTEMD or not SYSTEM_UNITS.is_dir():
        pytest.skip(f"systemd {SYSTEMD} or later is not installed")
    made = tmp_path_factory.mktemp("root")
    shutil.copytree(SYSTEM_UNITS, made / "usr/lib/systemd/system", symlinks=True)
    own = made / "etc/systemd/system"
    own.mkdir(parents=True)
    for name in UNITS:
        shutil.copy(ROOT / "deploy/systemd" / name, own)
    for name in ("feedback-loops.service", "feedback-loops-backup.service"):
        command = made / unit(name)["Service"]["ExecStart"].split()[0].lstrip("/")
        command.parent.mkdir(parents=True)
        command.write_text("#!/bin/sh\n")
        command.chmod(0o755)
    return made


def analyze(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["systemd-analyze", f"--root={root}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def complaints(root: Path) -> list[str]:
    """What systemd says about our units."""
    done = analyze(root, "verify", "--recursive-errors=yes", *UNITS)
    return [line for line in done.stderr.splitlines() if "feedback-loops" in line]


def test_systemd_accepts_the_units(root: Path) -> None:
    """No unknown key, no missing program, no cycle."""
    assert complaints(root) == []


def test_systemd_complains_about_a_mistake(root: Path, tmp_path: Path) -> None:
    """This shows that the previous test can fail."""
    shutil.copytree(root, tmp_path / "root", symlinks=True)
    with (tmp_path / "root/etc/systemd/system/feedback-loops.service").open("a") as file:
        file.write("[Service]\nProtectSystems=strict\n")

    assert any("ProtectSystems" in line for line in complaints(tmp_path / "root"))


def test_the_page_states_the_exposure(root: Path) -> None:
    """The unit's exposure, as systemd rates it, is what the page says, and at most 1.5 of 10."""
    shown = analyze(root, "security", "--offline=true", "feedback-loops.service").stdout
    found = re.search(r"Overall exposure level for feedback-loops.service: ([\d.]+)", shown)
    stated = re.search(r"rates its exposure ([\d.]+)", " ".join(PAGE.read_text().split()))

    assert found is not None
    assert stated is not None
    assert float(found[1]) <= float(stated[1]) <= 1.5


def test_the_command_is_one_that_serve_accepts() -> None:
    """It gives neither host nor port, which belong to the socket, and refuses a volume that is not mounted."""
    program, command, *options = unit("feedback-loops.service")["Service"]["ExecStart"].split()

    assert (program, command) == ("/opt/feedback-loops/bin/feedback-loops", "serve")
    given = {name for name, value in vars(parser().parse_args(options)).items() if value is not None}
    assert given == {"no_init"}


def test_the_stop_has_time() -> None:
    """Only `serve` gets the signal, and systemd waits longer than it needs."""
    service = unit("feedback-loops.service")["Service"]

    assert service["KillMode"] == "mixed"
    assert service["TimeoutStopSec"] == "15"
    assert float(service["TimeoutStopSec"]) > RAY_STOP_S


def test_the_service_starts_again_unless_that_is_useless() -> None:
    """After any end, also a kill by the kernel, except the exit code for data that cannot be opened."""
    parsed = unit("feedback-loops.service")

    assert parsed["Service"]["Restart"] == "always"
    assert parsed["Service"]["RestartPreventExitStatus"] == "78"
    assert parsed["Service"]["OOMPolicy"] == "continue"
    assert parsed["Unit"]["StartLimitIntervalSec"] == "0"


def test_the_socket_is_the_units_own() -> None:
    """One TCP socket, on this machine only, which the service requires."""
    parsed = unit("feedback-loops.socket")
    lines = (ROOT / "deploy/systemd/feedback-loops.socket").read_text().splitlines()

    assert [line for line in lines if line.startswith("Listen")] == ["ListenStream=127.0.0.1:8080"]
    assert parsed["Install"]["WantedBy"] == "sockets.target"
    assert "feedback-loops.socket" in unit("feedback-loops.service")["Unit"]["Requires"].split()


def test_the_backup_is_a_command_that_the_program_accepts() -> None:
    """It runs as the service's user, on the same data directory, and removes old copies."""
    service, backup = unit("feedback-loops.service")["Service"], unit("feedback-loops-backup.service")["Service"]
    program, command, *options = shlex.split(shlex.split(backup["ExecStart"])[2].removeprefix("exec "))
    given = backup_parser().parse_args(options)

    assert (program, command) == (service["ExecStart"].split()[0], "backup")
    assert given.keep == 14
    assert str(given.target).startswith(backup["ReadWritePaths"])
    for key in ("User", "StateDirectory", "StateDirectoryMode"):
        assert backup[key] == service[key]
    assert unit("feedback-loops-backup.timer")["Timer"]["Persistent"] == "true"

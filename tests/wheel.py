"""Wheel of this checkout in fresh environments, used by a user without rights.

    python -m tests.wheel [PYTHON…]

installs it with its dependencies from the package index, for each of these interpreters, or for those of 3.11 to 3.13
that are installed, and walks through it. It needs some minutes, and an index.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

from tests.packages import build, copy_project
from tests.paths import TESTS
from tests.service import MARK, marked
from tests.unprivileged import UID, revealing

MINORS: Final = (11, 12, 13)


class Failed(Exception):
    """A command of the environment's user failed; the text has its output."""


@contextlib.contextmanager
def public_folder() -> Iterator[Path]:
    """A folder that every user may enter, and that the user without rights owns."""
    folder = Path(tempfile.mkdtemp(prefix="feedback-loops-wheel-", dir="/tmp"))
    try:
        folder.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(folder, UID, UID)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Environment:
    """A virtual environment with the wheel. `packages` has its dependencies; without it, pip downloads them."""

    def __init__(self, folder: Path, python: Path, wheel: Path, packages: Path | None = None) -> None:
        prefix = subprocess.run(
            [python, "-I", "-c", "import sys; print(sys.base_prefix)"], stdout=subprocess.PIPE, text=True, check=True
        ).stdout.strip()
        self._folder = folder
        self._base = Path(prefix) / "bin" / f"python3.{_minor(python)}"
        self._seen = [Path(prefix), *([packages] if packages else [])]
        self._wheel = Path(shutil.copy(wheel, folder))
        self._packages = packages
        self._mark = uuid.uuid4().hex

    def run(self, *command: str | Path, timeout_s: float = 600) -> str:
        """Runs a command as the user without rights, and returns its output.

        Raises:
            Failed: it did not end with 0.
        """
        environment = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_"))}
        own = {"HOME": str(self._folder), "PATH": "/usr/sbin:/usr/bin:/bin", "LANG": "C.UTF-8", MARK: self._mark}
        words = [*revealing(self._seen), *map(str, command)]
        try:
            done = subprocess.run(
                words,
                cwd=self._folder,
                env=environment | own,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=timeout_s,
                check=False,
            )
        finally:
            for process in marked(self._mark):
                with contextlib.suppress(psutil.Error):
                    process.kill()
        if done.returncode != 0:
            raise Failed(f"{command}: exit code {done.returncode}\n{done.stdout}")
        return done.stdout

    def install(self) -> None:
        """Makes the environment and installs the wheel."""
        self.run(self._base, "-m", "venv", "environment")
        options: list[str] = [] if self._packages is None else ["--no-index", "--no-deps"]
        self.run("environment/bin/python", "-m", "pip", "install", "--quiet", *options, str(self._wheel))
        if self._packages is not None:
            # A path file adds the dependencies, but nothing that their own path files would add, such as a checkout.
            site = self._folder / f"environment/lib/python3.{_minor(self._base)}/site-packages"
            (site / "dependencies.pth").write_text(f"{self._packages}\n")

    def walk(self) -> str:
        """Uses everything once, and returns what it showed."""
        script = shutil.copy(TESTS / "wheel_walk.py", self._folder)
        self.run("mkdir", "home")
        return self.run("environment/bin/python", "-I", script, self._folder / "home")


def _minor(python: Path) -> int:
    command = [str(python), "-I", "-c", "import sys; print(sys.version_info.minor)"]
    shown = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    return int(shown.stdout)


def interpreters() -> list[Path]:
    """The installed interpreters of the supported versions, one of each."""
    found = []
    for minor in MINORS:
        candidates = [shutil.which(f"python3.{minor}"), *Path.home().glob(f".pyenv/versions/3.{minor}.*/bin/python3")]
        with contextlib.suppress(StopIteration):
            found.append(next(Path(each) for each in candidates if each and _works(Path(each), minor)))
    return found


def _works(python: Path, minor: int) -> bool:
    try:
        return _minor(python) == minor
    except (OSError, subprocess.CalledProcessError):
        return False


def main() -> None:
    pythons = [Path(each) for each in sys.argv[1:]] or interpreters()
    with tempfile.TemporaryDirectory() as folder:
        wheel = build("wheel", copy_project(Path(folder) / "source"), Path(folder) / "dist")
        for python in pythons:
            with public_folder() as public:
                environment = Environment(public, python, wheel)
                environment.install()
                print(environment.walk(), flush=True)


if __name__ == "__main__":
    main()

"""Installation check: `serve` refuses to run a mixture of our packages and another distribution's."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT


def install(site: Path, name: str, files: list[Path]) -> None:
    """Writes the metadata of a distribution with these files, as pip does."""
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    rows = []
    for file in files:
        digest = base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest()).rstrip(b"=").decode()
        rows.append(f"{file.relative_to(site)},sha256={digest},{file.stat().st_size}")
    (info / "RECORD").write_text("\n".join(rows) + "\n")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory of installed packages with ours in it."""
    made = tmp_path / "site"
    for name in ("actors", "api", "domain"):
        shutil.copytree(ROOT / name, made / name, ignore=shutil.ignore_patterns("__pycache__"))
    install(made, "feedback-loops", sorted(made.rglob("*.py")))
    return made


def check(site: Path) -> str:
    """What the check says to the packages in `site`."""
    code = (
        "from api.cli.installation import check_installation\nfrom domain.errors import Conflict\n"
        "try:\n    check_installation()\nexcept Conflict as exc:\n    print(exc)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_another_distribution_in_our_packages_is_named(site: Path) -> None:
    """The message has its name and what to do; files that it adds to the packages do no harm."""
    assert check(site) == ""
    (site / "api" / "extra.py").write_text("x = 1\n")
    (site / "domain" / "values.py").write_text((site / "domain" / "values.py").read_text() + "x = 1\n")
    assert check(site) == "", "edited by hand"
    install(site, "another-shop", [site / "api" / "extra.py", site / "domain" / "values.py"])

    assert "the distribution another-shop has overwritten" in check(site)
    assert "uv tool install" in check(site)


def test_a_missing_file_is_named(site: Path) -> None:
    """Removing the other distribution again also removes our file."""
    (site / "domain" / "tokens.py").unlink()

    assert "tokens.py is missing: install feedback-loops again" in check(site)


def test_serve_refuses(site: Path, tmp_path: Path) -> None:
    """It ends before it listens or creates anything."""
    (site / "domain" / "values.py").write_text((site / "domain" / "values.py").read_text() + "x = 1\n")
    install(site, "another-shop", [site / "domain" / "values.py"])
    done = subprocess.run(
        [sys.executable, "-P", "-m", "api.cli.main", "serve", "--data-dir", str(tmp_path / "data"), "--port", "0"],
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("feedback-loops serve: the distribution another-shop has overwritten ")
    assert not (tmp_path / "data").exists()

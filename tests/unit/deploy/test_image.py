"""Image of the service: what its build sees, and what its Dockerfile promises."""

from __future__ import annotations

import re
import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from actors.settings import Settings
from tests.docker_context import build_context
from tests.packages import build, copy_project
from tests.paths import ROOT

DOCKERFILE = ROOT / "deploy/Dockerfile"
#: Files that must never be in an image, or in the cache of its build.
SECRETS = (
    "deploy/secrets/ray-token",
    "deploy/secrets/environment",
    "var/master.key",
    "var/ledger.sqlite",
    "api/master.key",
    "examples/.env",
    "deploy/.env",
    ".env",
    ".git/config",
    ".venv/bin/python",
    "actors/__pycache__/version.cpython-311.pyc",
)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the checkout as it is after some use, with keys and data."""
    made = copy_project(tmp_path_factory.mktemp("image") / "source")
    for name in SECRETS:
        (made / name).parent.mkdir(parents=True, exist_ok=True)
        (made / name).write_text("a secret")
    return made


@pytest.fixture(scope="module")
def context(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked build context, as the Docker client sends it."""
    if shutil.which("docker") is None:
        pytest.skip("the Docker client is not installed")
    folder = tmp_path_factory.mktemp("context")
    with build_context(source, "deploy/Dockerfile") as archive:
        archive.extractall(folder, filter=_keeping_links)
    return folder


def _keeping_links(member: tarfile.TarInfo, _path: str) -> tarfile.TarInfo:
    """Links lead to other folders of the context."""
    return member


def test_no_secret_is_in_the_context(context: Path) -> None:
    """No key, no data, no history and no cache, wherever they are in the checkout."""
    files = {str(path.relative_to(context)): path for path in context.rglob("*") if path.is_file()}

    assert {name for name, path in files.items() if path.read_text(errors="replace") == "a secret"} == set()
    top = {name.partition("/")[0] for name in files}
    # The classic builder always sends the last two.
    expected = {"actors", "api", "domain", "examples", "deploy", "LICENSE", "README.pypi.md", "pyproject.toml"}
    assert top == expected | {".dockerignore"}
    assert {path.name for path in (context / "deploy").iterdir()} <= {
        *("Caddyfile", "Dockerfile", "compose.yaml", "grafana", "prometheus", "requirements.lock", "systemd"),
    }


def test_the_context_makes_the_same_wheel(context: Path, source: Path, tmp_path: Path) -> None:
    """Nothing that the program needs is left out."""
    names = []
    for folder in (source, context):
        with zipfile.ZipFile(build("wheel", folder, tmp_path / folder.name)) as archive:
            names.append(sorted(archive.namelist()))

    assert names[0] == names[1]
    assert "api/cli/assets/compose.yaml" in names[0]


def test_every_base_is_pinned_and_small() -> None:
    """Both stages start from the same slim image, by its digest; one for Ray's clusters is not needed."""
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE.read_text(), re.MULTILINE)

    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.1[123]-slim-\w+@sha256:[0-9a-f]{64}", bases[0])


def test_it_runs_as_a_user_without_rights() -> None:
    """The user is a number, so that Kubernetes can check it too, and installs nothing when it starts."""
    final = DOCKERFILE.read_text().rpartition("\nFROM ")[2]

    assert re.search(r"^USER [1-9]\d{4,}$", final, re.MULTILINE)
    assert "pip install" not in final
    assert re.search(r"^HEALTHCHECK .*\\\n +CMD \[.*127\.0\.0\.1:8080/healthz", final, re.MULTILINE)
    assert re.search(r"^VOLUME /data$", final, re.MULTILINE)


def test_its_settings_are_valid() -> None:
    """`serve` accepts the variables, and keeps its data on the volume."""
    (line,) = re.findall(r"^ENV (.*FEEDBACK_LOOPS.*)$", DOCKERFILE.read_text(), re.MULTILINE)
    environment = dict(word.split("=", 1) for word in line.split())
    settings = Settings.from_env(environment)

    assert settings.data_dir == Path("/data")
    assert (settings.host, settings.port) == ("0.0.0.0", 8080)

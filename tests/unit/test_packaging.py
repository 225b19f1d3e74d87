"""Distributions: what wheel and sdist contain, and what they say about themselves."""

from __future__ import annotations

import json
import re
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from api.cli import main
from api.cli.commands.assets import assets
from tests.docs.snippets import snippets
from tests.packages import build, copy_project, project_files
from tests.paths import ROOT

#: Libraries of which more than the documented interface is used.
INTERNALS = {"ray", "uvicorn", "httptools", "eventsourcing", "prometheus-client", "pydantic"}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LONG_DESCRIPTION = ROOT / "README.pypi.md"


@dataclass(frozen=True, slots=True)
class Built:
    """The contents of the distributions, by path."""

    wheel: dict[str, bytes]
    sdist: dict[str, bytes]
    wheel_of_sdist: dict[str, bytes]
    metadata: Message


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both distributions of this checkout, with a key beside its files, and the wheel that the sdist makes."""
    folder = tmp_path_factory.mktemp("packages")
    source = copy_project(folder / "source")
    (source / "deploy/secrets/ray-token").write_text("a secret")
    (source / "var").mkdir()
    (source / "var/master.key").write_text("a secret")
    sdist = build("sdist", source, folder / "out")
    wheel = build("wheel", source, folder / "out")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    second = build("wheel", unpacked, folder / "second")
    contents = wheel_contents(wheel)
    (metadata,) = [content for name, content in contents.items() if name.endswith(".dist-info/METADATA")]
    return Built(contents, sdist_contents(sdist), wheel_contents(second), message_from_bytes(metadata))


def wheel_contents(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def sdist_contents(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        found = {member.name.partition("/")[2]: archive.extractfile(member) for member in archive if member.isfile()}
        return {name: file.read() for name, file in found.items() if file is not None}


def test_the_sdist_has_tests_documentation_and_deploy(built: Built) -> None:
    """It has every file of the project, so that its user can run and change what a contributor can."""
    assert sorted(set(project_files()) - built.sdist.keys() - linked_folders()) == []
    assert built.sdist["deploy/kuberay.yaml"] == (ROOT / "deploy/kuberay.yaml").read_bytes()


def linked_folders() -> set[str]:
    """Links to folders, of which an sdist has the files."""
    return {path for path in project_files() if (ROOT / path).is_symlink() and (ROOT / path).is_dir()}


def test_no_distribution_has_keys_or_data(built: Built) -> None:
    """Whatever is in the checkout beside the project's files stays there."""
    for contents in (built.sdist, built.wheel):
        assert not [name for name, content in contents.items() if content == b"a secret"]
        assert not [name for name in contents if name.startswith(("var/", ".git/", ".venv", "build/"))]


def test_the_sdist_makes_the_same_wheel(built: Built) -> None:
    """Links of the checkout are files in the sdist, and no file that the program needs is missing."""
    compared = {name for name in built.wheel if not name.endswith("/RECORD")}

    assert built.wheel.keys() == built.wheel_of_sdist.keys()
    assert {name for name in compared if built.wheel[name] != built.wheel_of_sdist[name]} == set()


def test_the_wheel_has_the_files_that_assets_writes(built: Built) -> None:
    """They are those of `deploy`, byte for byte."""
    prefix = "api/cli/assets/"
    packed = {name.removeprefix(prefix): content for name, content in built.wheel.items() if name.startswith(prefix)}

    assert packed == {str(path): content for path, content in assets()}
    assert packed == {name: (ROOT / "deploy" / name).read_bytes() for name in packed}
    units = {f"systemd/feedback-loops{name}" for name in (".service", ".socket", "-backup.service", "-backup.timer")}
    assert packed.keys() == units | {
        "Caddyfile",
        "compose.yaml",
        "grafana/feedback-loops.json",
        "prometheus/alerts.yml",
    }


def test_the_licences_of_vendored_files_are_named(built: Built) -> None:
    """The expression covers each of them, and their texts are in the wheel's metadata."""
    vendored = json.loads((ROOT / "api/dashboard/static/vendor/vendor.json").read_text())
    expression = built.metadata["License-Expression"]

    assert set(expression.split(" AND ")) == {"Apache-2.0", *(entry["license"] for entry in vendored.values())}
    texts = {f"api/dashboard/static/vendor/{name}/LICENSE" for name in vendored}
    assert set(built.metadata.get_all("License-File", [])) == texts | {"LICENSE"}


def test_the_metadata_describes_the_project(built: Built) -> None:
    """The index shows what it is, which Pythons run it, and where everything else is."""
    metadata = built.metadata
    classifiers = metadata.get_all("Classifier", [])
    minors = {int(found[1]) for each in classifiers if (found := re.search(r"Python :: 3\.(\d+)$", each))}

    assert metadata["Summary"] == main.DESCRIPTION
    assert metadata["Requires-Python"] == f"<3.{max(minors) + 1},>=3.{min(minors)}"
    assert minors == {11, 12, 13}
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata["Author"]
    assert metadata["Keywords"]
    assert set(PROJECT["urls"]) >= {"Homepage", "Documentation", "Changelog", "Issues"}


def test_libraries_whose_internals_are_used_have_an_upper_bound() -> None:
    """A new minor version of them may break the service, and is tried before it is allowed."""
    bounds = {
        required.name: max((Version(each.version) for each in required.specifier if each.operator == "<"), default=None)
        for required in map(Requirement, PROJECT["dependencies"])
    }

    assert {name for name in INTERNALS if bounds[name] is None} == set()


@pytest.mark.parametrize("lock", ["requirements.lock", "deploy/requirements.lock"])
def test_locked_versions_are_allowed_ones(lock: str) -> None:
    """Each dependency is locked to a version within its bounds, the same one for images and for tests."""
    locked = pins(lock)
    required = [Requirement(text) for text in PROJECT["dependencies"]]

    wrong = {each.name for each in required if locked[normal(each.name)] not in each.specifier}
    assert wrong == set()
    everything = pins("requirements.lock")
    assert {name: version for name, version in locked.items() if everything.get(name) != version} == {}


def pins(lock: str) -> dict[str, Version]:
    """The locked versions, by name."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==([^\s;]+)", (ROOT / lock).read_text(), re.MULTILINE)
    return {normal(name): Version(version) for name, version in found}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_links_of_the_long_description_work_elsewhere() -> None:
    """On the package index there are no relative links; each link into the repository leads to a file of it."""
    text = LONG_DESCRIPTION.read_text()
    files = f"{PROJECT['urls']['Homepage']}/blob/main/"
    links = [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r"(?:src|href)=\"([^\"]+)\"", text)]
    links += PROJECT["urls"].values()

    assert [link for link in links if not link.startswith("https://")] == []
    inside = [link.removeprefix(files).partition("#")[0] for link in links if link.startswith(files)]
    assert len(inside) > 5
    assert [path for path in inside if not (ROOT / path).is_file()] == []


def test_commands_of_the_long_description_exist() -> None:
    """Each command is one of the program's, and needs no checkout."""
    commands = list(described_commands())
    assert {"demo", "serve", "assets"} <= set(commands)
    assert set(commands) <= main.COMMANDS.keys()


def described_commands() -> Iterator[str]:
    for snippet in snippets(LONG_DESCRIPTION):
        for line in snippet.text.splitlines():
            program, _, rest = line.partition(" ")
            assert program in {"feedback-loops", "pipx"}, line
            if program == "feedback-loops":
                yield rest.split()[0]

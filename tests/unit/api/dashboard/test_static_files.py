"""Style sheets and scripts: small, our own or pinned, and cached by browsers."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from importlib.resources import files
from pathlib import Path

from api.dashboard.pages.loop import SNIPPETS
from api.dashboard.static_files import StaticFiles
from tests.paths import ROOT
from tests.unit.api.dashboard.fake_dashboard import FakeDashboard, Visitor
from tests.unit.api.fake_api import Api, run

STATIC = Path(str(files("api.dashboard") / "static"))
VENDOR = STATIC / "vendor"
#: Limit of the first page's transfer size.
FIRST_LOAD_BYTES = 100_000


def test_vendored_files_are_unchanged() -> None:
    """Each file is listed with its hash, each package with its version, its licence and npm's integrity."""
    listed = json.loads((VENDOR / "vendor.json").read_text())

    assert set(listed) == {path.name for path in VENDOR.iterdir() if path.is_dir()}
    for folder, package in listed.items():
        found = {
            path.name: f"sha256-{base64.b64encode(hashlib.sha256(path.read_bytes()).digest()).decode()}"
            for path in (VENDOR / folder).iterdir()
        }
        assert found == package["files"]
        assert "LICENSE" in found
        assert package["license"] in {"0BSD", "MIT"}
        assert package["integrity"].startswith("sha512-")
        assert re.fullmatch(r"\d+\.\d+\.\d+", package["version"])


def test_the_first_load_is_small() -> None:
    """Every page with all of its files transfers less than 100 KB."""

    async def scenario() -> list[int]:
        async with Api() as api:
            dashboard, visitor = FakeDashboard(api), Visitor(api)
            await visitor.sign_in()
            weights = []
            for path in ("/", f"/loops/{dashboard.loop.id}", "/loops/new", "/account", "/events"):
                page = await visitor.get(path)
                weight = len(page.content)
                for file in set(re.findall(r'(?:href|src)="(/dashboard/static/[^"]+)"', page.text)):
                    answer = await visitor.http.get(file, headers={"Accept-Encoding": "gzip"})
                    weight += int(answer.headers["content-length"])
                weights.append(weight)
            await visitor.close()
            return weights

    weights = run(scenario())
    assert max(weights) < FIRST_LOAD_BYTES
    assert min(weights) > 20_000


def test_files_are_cached_for_ever_by_their_hash() -> None:
    """The URL contains the content's hash; the response is cacheable, compressed on request, and has its type."""

    async def scenario() -> None:
        async with Api() as api:
            visitor = Visitor(api)
            page = await visitor.get("/sign-in")
            paths = re.findall(r'(?:href|src)="(/dashboard/static/[^"]+)"', page.text)
            assert len(paths) == 4
            for path in paths:
                plain = await visitor.http.get(path, headers={"Accept-Encoding": "identity"})
                packed = await visitor.http.get(path, headers={"Accept-Encoding": "gzip, br"})
                assert plain.content == packed.content
                assert hashlib.sha256(plain.content).hexdigest()[:16] in path
                assert plain.headers["cache-control"] == "public, max-age=31536000, immutable"
                assert plain.headers.get_list("cache-control") == packed.headers.get_list("cache-control")
                assert (packed.headers["content-encoding"], packed.headers["vary"]) == ("gzip", "Accept-Encoding")
                assert "content-encoding" not in plain.headers
                assert plain.headers["content-type"].partition(";")[0] in {
                    "text/css",
                    "text/javascript",
                    "image/svg+xml",
                }
            await visitor.close()

    run(scenario())


def test_compressing_changes_nothing() -> None:
    """The compressed response decompresses to the file."""
    static = StaticFiles("/s")
    for path in STATIC.rglob("*.js"):
        hashed = static.path(str(path.relative_to(STATIC))).removeprefix("/s/")
        found = static.file(hashed)
        assert found is not None
        assert gzip.decompress(found.compressed) == path.read_bytes()


def test_code_to_paste_equals_the_examples() -> None:
    """Every example is offered unchanged."""
    assert {snippet.file_name: snippet.code for snippet in SNIPPETS} == {
        path.name: path.read_text() for path in (ROOT / "examples").glob("handler.*")
    }
    assert [snippet.language for snippet in SNIPPETS] == ["PHP", "Python", "Node", "Go", "Ruby"]

"""Deferred imports. Each test runs in a separate process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tests.paths import ROOT


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A directory with a library that shows when its code runs."""
    package = tmp_path / "costly"
    package.mkdir()
    (package / "__init__.py").write_text("print('loaded')\nfrom costly import part\nvalue = part.value\n")
    (package / "part.py").write_text("value = 7\n")
    return tmp_path


def output_of(library: Path, script: str) -> str:
    """Output of a new process, which has deferred the library."""
    begin = "from actors.process_setup.deferred_imports import defer\ndefer('costly', 'missing')\n"
    process = subprocess.run(
        [sys.executable, "-c", begin + dedent(script)],
        env={"PYTHONPATH": f"{ROOT}:{library}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return process.stdout


def test_a_library_is_loaded_when_it_is_used(library: Path) -> None:
    """An import alone does not run its code; the first use does, once."""
    script = """
        import costly
        import costly as again
        print("imported")
        print(again.value, costly.part.value, type(costly).__name__)
    """
    assert output_of(library, script) == "imported\nloaded\n7 7 module\n"


def test_names_can_be_imported(library: Path) -> None:
    """`from` uses the library at once, and a name that is missing is an ImportError."""
    script = """
        from costly import value
        print(value)
        try:
            from costly import nothing
        except ImportError:
            print("missing")
    """
    assert output_of(library, script) == "loaded\n7\nmissing\n"


def test_a_library_that_is_not_installed_stays_missing(library: Path) -> None:
    """Its import fails as without the deferral."""
    script = """
        try:
            import missing
        except ModuleNotFoundError:
            print("missing")
    """
    assert output_of(library, script) == "missing\n"


def test_threads_that_use_it_at_once_see_all_of_it(library: Path) -> None:
    """The second thread waits until the first has loaded it, however long that takes."""
    (library / "costly/__init__.py").write_text("import time\nfirst = 1\ntime.sleep(0.2)\nlast = 2\n")
    script = """
        import costly
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor() as pool:
            print(list(pool.map(lambda name: getattr(costly, name), ["first", "last", "last"])))
    """
    assert output_of(library, script) == "[1, 2, 2]\n"


def test_ray_loads_none_of_the_libraries() -> None:
    """Processes with Ray do without the libraries that `actors.ray_runtime` defers."""
    script = """if True:
        import actors.ray_runtime.actors, sys
        print({"requests.api", "jsonschema.validators", "yaml.loader"} & set(sys.modules))
    """
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "set()\n"

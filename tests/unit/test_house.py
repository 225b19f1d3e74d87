"""The house's own rules on its code, where no linter has them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.paths import ROOT

DOMAIN = sorted((ROOT / "domain").rglob("*.py"))
LIBRARY = [path for package in ("domain", "actors", "api") for path in sorted((ROOT / package).rglob("*.py"))]

#: Clocks, chance and the environment: what makes a decision depend on more than its arguments.
IMPURE_NAMES = {"now", "utcnow", "today", "time_ns", "monotonic", "uuid1", "uuid4", "environ", "getenv", "urandom"}
IMPURE_MODULES = {"asyncio", "os", "random", "secrets", "socket", "sqlite3", "subprocess", "threading", "time"}
EVENTSOURCING = {"eventsourcing.domain", "eventsourcing.utils"}
LEDGER_ONLY = {"eventsourcing.application", "eventsourcing.persistence"}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def used_names(path: Path) -> set[str]:
    """Attributes and imported names in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            names.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            names.update(alias.name for alias in node.names)
    return names


@pytest.mark.parametrize("path", DOMAIN, ids=name_of)
def test_the_domain_reads_no_clock_chance_or_environment(path: Path) -> None:
    """What the domain decides depends on its arguments alone."""
    assert used_names(path) & IMPURE_NAMES == set()
    assert {module.partition(".")[0] for module in imported_modules(path)} & IMPURE_MODULES == set()


@pytest.mark.parametrize("path", DOMAIN, ids=name_of)
def test_the_domain_needs_the_standard_library_and_eventsourcing_alone(path: Path) -> None:
    """No other package is imported; of eventsourcing, only the ledger knows applications and persistence."""
    allowed = EVENTSOURCING | (LEDGER_ONLY if path.name == "ledger.py" else set())
    for module in imported_modules(path):
        top = module.partition(".")[0]
        assert top in sys.stdlib_module_names | {"domain"} or module in allowed, module


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_the_library_validates_without_assert(path: Path) -> None:
    """`python -O` drops assertions, so nothing may rest on them."""
    lines = [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)]
    assert lines == []


def log_calls(path: Path) -> Iterator[ast.Call]:
    levels = {f"log.{level}" for level in ("debug", "info", "warning", "error", "exception", "critical")}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in levels:
            yield node


@pytest.mark.parametrize("path", [path for path in LIBRARY if list(log_calls(path))], ids=name_of)
def test_a_line_of_the_log_is_a_constant_phrase_with_facts_beside_it(path: Path) -> None:
    """Messages can be counted and searched for: nothing is put into them, and each has fields, an action among them."""
    for call in log_calls(path):
        assert [type(argument) for argument in call.args] == [ast.Constant], ast.unparse(call)
        given = [keyword.value for keyword in call.keywords if keyword.arg == "extra"]
        assert given, ast.unparse(call)
        facts = given[0]
        if isinstance(facts, ast.Dict):
            keys = [key.value for key in facts.keys if isinstance(key, ast.Constant)]
            assert "action" in keys or None in facts.keys, ast.unparse(call)

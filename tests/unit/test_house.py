"""The house's own rules on its code, where no linter has them."""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
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


#: Words that start no docstring of a module: it names the module's subject instead.
NO_NOUN_PHRASE = re.compile(r"(What|Who|Whose|How|See|Where|Which|When|Whether|Why|Of)\b")
#: Words that start no other docstring either.
NO_START = re.compile(r"(What|Who|Whose|Of|Gives|Tells|Says|Has)\b")
#: Words that sound translated, with the plain ones to use.
NOT_PLAIN = {
    r"\b(tells?|told|telling)\b": "log, report, show, return",
    r"\banew\b": "again",
    r"\bbeside\b": "next to",
    r"\b(somebody|nobody)\b": "someone, no one, or name the person",
    r"\bbut that\b": "except that",
    r"\bof (ours|theirs|one's own)\b": "our, their",
    r"\b(thereof|whereby|wherein|thereupon|lest)\b": "a plain word",
}


def prose(path: Path) -> Iterator[tuple[int, str, bool]]:
    """Line, text and whether it is the module's docstring: of each docstring and comment in the file."""
    source = path.read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text is not None:
                yield getattr(node, "lineno", 1), " ".join(text.split()), isinstance(node, ast.Module)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith("# noqa"):
            yield token.start[0], token.string, False


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_docstrings_start_with_their_subject(path: Path) -> None:
    """A module's docstring starts with a noun phrase; no docstring starts like the answer to a question."""
    wrong = [
        f"{line}: {text[:80]}"
        for line, text, is_module in prose(path)
        if (NO_NOUN_PHRASE if is_module else NO_START).match(text)
    ]
    assert wrong == []


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_docstrings_and_comments_use_plain_words(path: Path) -> None:
    """Words that readers stumble over have plain replacements."""
    wrong = [
        f"{line}: {found[0]!r}: {plain}: {text[:80]}"
        for line, text, _ in prose(path)
        for pattern, plain in NOT_PLAIN.items()
        if (found := re.search(pattern, text))
    ]
    assert wrong == []


#: An aggregate's constructor mirrors the event that creates it.
MIRRORS_AN_EVENT = {"domain/message.py"}


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_constructors_have_at_most_eight_arguments(path: Path) -> None:
    """What always travels together is one frozen value."""
    if name_of(path) in MIRRORS_AN_EVENT:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            assert len(given) - 1 <= 8, f"{path}:{node.lineno}"


def test_only_one_package_imports_ray() -> None:
    """Ray's types and errors stay in `actors/ray_runtime`."""
    importers = {path for path in LIBRARY if "ray" in {m.partition(".")[0] for m in imported_modules(path)}}
    assert {path.parent for path in importers} == {ROOT / "actors" / "ray_runtime"}

"""Rules of this code base that no linter checks."""

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

#: Clocks, randomness and the environment, on which a decision must not depend.
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
def test_the_domain_reads_no_clock_randomness_or_environment(path: Path) -> None:
    """The domain's decisions depend only on their arguments."""
    assert used_names(path) & IMPURE_NAMES == set()
    assert {module.partition(".")[0] for module in imported_modules(path)} & IMPURE_MODULES == set()


@pytest.mark.parametrize("path", DOMAIN, ids=name_of)
def test_the_domain_imports_only_the_standard_library_and_eventsourcing(path: Path) -> None:
    """Only the ledger uses eventsourcing's applications and persistence."""
    allowed = EVENTSOURCING | (LEDGER_ONLY if path.name == "ledger.py" else set())
    for module in imported_modules(path):
        top = module.partition(".")[0]
        assert top in sys.stdlib_module_names | {"domain"} or module in allowed, module


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_the_library_validates_without_assert(path: Path) -> None:
    """`python -O` removes assertions, so nothing may depend on them."""
    lines = [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)]
    assert lines == []


def log_calls(path: Path) -> Iterator[ast.Call]:
    levels = {f"log.{level}" for level in ("debug", "info", "warning", "error", "exception", "critical")}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in levels:
            yield node


@pytest.mark.parametrize("path", [path for path in LIBRARY if list(log_calls(path))], ids=name_of)
def test_a_log_line_is_a_constant_phrase_with_fields(path: Path) -> None:
    """Messages can be counted and searched for: they contain no values, and each has fields with an action."""
    for call in log_calls(path):
        assert [type(argument) for argument in call.args] == [ast.Constant], ast.unparse(call)
        given = [keyword.value for keyword in call.keywords if keyword.arg == "extra"]
        assert given, ast.unparse(call)
        facts = given[0]
        if isinstance(facts, ast.Dict):
            keys = [key.value for key in facts.keys if isinstance(key, ast.Constant)]
            assert "action" in keys or None in facts.keys, ast.unparse(call)


#: Words that must not start a module's docstring, which names the module's subject.
NO_NOUN_PHRASE = re.compile(r"(What|Who|Whose|How|See|Where|Which|When|Whether|Why|Of)\b")
#: Words that must not start any other docstring.
NO_START = re.compile(r"(What|Who|Whose|Of|Gives|Tells|Says|Has)\b")
#: Words that sound translated, with plain replacements.
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
    """Line, text and whether it is the module's docstring, for each docstring and comment in the file."""
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
    """A module's docstring starts with a noun phrase; no docstring starts with a question word."""
    wrong = [
        f"{line}: {text[:80]}"
        for line, text, is_module in prose(path)
        if (NO_NOUN_PHRASE if is_module else NO_START).match(text)
    ]
    assert wrong == []


@pytest.mark.parametrize("path", LIBRARY, ids=name_of)
def test_docstrings_and_comments_use_plain_words(path: Path) -> None:
    """Words that slow readers down have plain replacements."""
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
    """Values that always travel together form one frozen value."""
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

"""Rules of this code base that no linter checks. Each test shows every place that breaks its rule."""

from __future__ import annotations

import ast
import functools
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that the rules ask about a file."""

    imported_modules: frozenset[str]
    #: Attributes and imported names.
    used_names: frozenset[str]
    assert_lines: tuple[int, ...]
    #: Each call of a logger, and whether it is a constant phrase with an action.
    log_calls: tuple[tuple[str, bool], ...]
    #: Lines of constructors with too many arguments.
    long_constructors: tuple[int, ...]
    #: Line, text and whether it is the module's docstring, for each docstring and comment.
    prose: tuple[tuple[int, str, bool], ...]


@functools.cache
def facts_of(path: Path) -> Facts:
    """Parses the file once for all tests. The syntax trees of all files would slow garbage collection down."""
    source = path.read_text()
    nodes = list(ast.walk(ast.parse(source)))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == "__init__"]
    return Facts(
        imported_modules=frozenset(_imported_modules(nodes)),
        used_names=frozenset(_used_names(nodes)),
        assert_lines=tuple(node.lineno for node in nodes if isinstance(node, ast.Assert)),
        log_calls=tuple((ast.unparse(call), _is_constant_with_action(call)) for call in _log_calls(nodes)),
        long_constructors=tuple(node.lineno for node in functions if _count_arguments(node) > 8),
        prose=(*_docstrings(nodes), *_comments(source)),
    )


def _imported_modules(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _used_names(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)


def _log_calls(nodes: Iterable[ast.AST]) -> Iterator[ast.Call]:
    levels = {f"log.{level}" for level in ("debug", "info", "warning", "error", "exception", "critical")}
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and ast.unparse(node.func) in levels:
            yield node


def _is_constant_with_action(call: ast.Call) -> bool:
    given = [keyword.value for keyword in call.keywords if keyword.arg == "extra"]
    if [type(argument) for argument in call.args] != [ast.Constant] or not given:
        return False
    facts = given[0]
    if not isinstance(facts, ast.Dict):
        return True
    keys = [key.value for key in facts.keys if isinstance(key, ast.Constant)]
    return "action" in keys or None in facts.keys


def _count_arguments(function: ast.FunctionDef) -> int:
    """Without `self`."""
    return len([*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]) - 1


def _docstrings(nodes: Iterable[ast.AST]) -> Iterator[tuple[int, str, bool]]:
    for node in nodes:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text is not None:
                yield getattr(node, "lineno", 1), " ".join(text.split()), isinstance(node, ast.Module)


def _comments(source: str) -> Iterator[tuple[int, str, bool]]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith("# noqa"):
            yield token.start[0], token.string, False


def refuse(wrong: Iterable[str]) -> None:
    """Fails with a line for each place that breaks the rule."""
    found = list(wrong)
    assert not found, "\n".join(found)


def test_the_domain_reads_no_clock_randomness_or_environment() -> None:
    """The domain's decisions depend only on their arguments."""
    refuse(f"{name_of(path)}: {name}" for path in DOMAIN for name in _impure(facts_of(path)))


def _impure(facts: Facts) -> frozenset[str]:
    modules = {module.partition(".")[0] for module in facts.imported_modules}
    return (facts.used_names & IMPURE_NAMES) | (modules & IMPURE_MODULES)


def test_the_domain_imports_only_the_standard_library_and_eventsourcing() -> None:
    """Only the ledger uses eventsourcing's applications and persistence."""
    refuse(
        f"{name_of(path)}: {module}"
        for path in DOMAIN
        for module in facts_of(path).imported_modules
        if module.partition(".")[0] not in sys.stdlib_module_names | {"domain"}
        and module not in EVENTSOURCING | (LEDGER_ONLY if path.name == "ledger.py" else set())
    )


def test_the_library_validates_without_assert() -> None:
    """`python -O` removes assertions, so nothing may depend on them."""
    refuse(f"{name_of(path)}:{line}" for path in LIBRARY for line in facts_of(path).assert_lines)


def test_a_log_line_is_a_constant_phrase_with_fields() -> None:
    """Messages can be counted and searched for: they contain no values, and each has fields with an action."""
    calls = [(path, *call) for path in LIBRARY for call in facts_of(path).log_calls]
    assert len(calls) > 50
    refuse(f"{name_of(path)}: {call}" for path, call, is_allowed in calls if not is_allowed)


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


def test_docstrings_start_with_their_subject() -> None:
    """A module's docstring starts with a noun phrase; no docstring starts with a question word."""
    refuse(
        f"{name_of(path)}:{line}: {text[:80]}"
        for path in LIBRARY
        for line, text, is_module in facts_of(path).prose
        if (NO_NOUN_PHRASE if is_module else NO_START).match(text)
    )


def test_docstrings_and_comments_use_plain_words() -> None:
    """Words that slow readers down have plain replacements."""
    refuse(
        f"{name_of(path)}:{line}: {found[0]!r}: {plain}: {text[:80]}"
        for path in LIBRARY
        for line, text, _ in facts_of(path).prose
        for pattern, plain in NOT_PLAIN.items()
        if (found := re.search(pattern, text))
    )


#: An aggregate's constructor mirrors the event that creates it.
MIRRORS_AN_EVENT = {"domain/message.py"}


def test_constructors_have_at_most_eight_arguments() -> None:
    """Values that always travel together form one frozen value."""
    refuse(
        f"{name_of(path)}:{line}"
        for path in LIBRARY
        if name_of(path) not in MIRRORS_AN_EVENT
        for line in facts_of(path).long_constructors
    )


def test_only_one_package_imports_ray() -> None:
    """Ray's types and errors stay in `actors/ray_runtime`."""
    importers = {path for path in LIBRARY if "ray" in {m.partition(".")[0] for m in facts_of(path).imported_modules}}
    assert {path.parent for path in importers} == {ROOT / "actors" / "ray_runtime"}

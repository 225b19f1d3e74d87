"""The tokenizer against the html5lib project's tests of the HTML standard's tokenizer."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

import pytest

from api.messages.character_references import attribute_text
from api.messages.tokenizer import (
    TAG,
    TEXT_ELEMENTS,
    attributes_of,
    end_of_comment,
    end_of_text,
    is_self_closing,
    lower,
    unquoted,
)
from tests.paths import FIXTURES

FILES = sorted((FIXTURES / "html5lib-tests").glob("*.test"))
_STATES = {"Script data state": "script", "RAWTEXT state": "xmp", "RCDATA state": "title"}


def cases(path: Path, states: Set[str]) -> Iterator[tuple[str, Any, str]]:
    """The input, the expected tokens and the element of the tests that start in one of these states."""
    for test in json.loads(path.read_text()).get("tests", []):
        for state in states & set(test.get("initialStates", ["Data state"])):
            text, output = test["input"], test["output"]
            if test.get("doubleEscaped"):
                text, output = (json.loads(_unescaped(json.dumps(value))) for value in (text, output))
            # Preprocessing of the input stream (HTML, section 13.2.3.5).
            text = text.replace("\r\n", "\n").replace("\r", "\n")
            yield text, output, test.get("lastStartTag") or _STATES.get(state, "")


def _unescaped(text: str) -> str:
    return re.sub(r"\\\\u([0-9A-Fa-f]{4})", r"\\u\1", text)


def tokens(text: str) -> Iterator[list[Any]]:
    """The tags and comments of a text, as the tests write them."""
    at = text.find("<")
    while at >= 0:
        end: int | None
        if tag := TAG.match(text, at):
            end = tag.end()
            name = lower(tag[2]).replace("\0", "\ufffd")
            attributes: dict[str, str] = {}
            for attribute in attributes_of(tag):
                attributes.setdefault(attribute.name.replace("\0", "\ufffd"), attribute_text(unquoted(attribute.raw)))
            if tag[1]:
                yield ["EndTag", name]
            else:
                yield ["StartTag", name, attributes, *([True] if is_self_closing(tag) else [])]
        elif text.startswith("<!--", at):
            content_end, end = end_of_comment(text, at) or (None, None)
            if content_end is not None:
                yield ["Comment", text[at + 4 : content_end].replace("\0", "\ufffd")]
        elif re.match("</?[a-zA-Z]", text[at:]):
            return
        elif text.startswith(("<!", "<?", "</"), at):
            end = text.find(">", at) + 1 or None
        else:
            end = at + 1
        if end is None:
            return
        at = text.find("<", end)


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_tags_attributes_and_comments(path: Path) -> None:
    """Tags and attributes are those of the standard, and so are comments that end in the text."""
    for text, output, _ in cases(path, {"Data state"}):
        found = list(tokens(text))
        expected = [token for token in output if token[0] in {"StartTag", "EndTag"}]
        assert [token for token in found if token[0] != "Comment"] == expected, text
        comments = iter([token for token in output if token[0] == "Comment"])
        assert all(token in comments for token in found if token[0] == "Comment"), text


def test_the_end_of_text_content() -> None:
    """The content of scripts, style sheets and titles ends where the standard says."""
    count = 0
    for text, output, name in itertools.chain.from_iterable(cases(path, set(_STATES)) for path in FILES):
        if name not in TEXT_ELEMENTS:
            continue
        count += 1
        end = end_of_text(text, name, 0, len(text))
        ended = [token[1] for token in output if token[0] == "EndTag"]
        # Without a `>` the end tag is dropped.
        tag = None if end is None else TAG.match(text, end)
        assert ([tag[2].lower()] if tag else []) == ended[:1], text
    assert count > 20

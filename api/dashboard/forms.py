"""Form fields, as browsers send them in a query or a body."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from types import MappingProxyType
from typing import Final, Self
from urllib.parse import parse_qsl

from api.http.problem_types import MALFORMED
from api.http.problems import ProblemError
from domain.errors import InvalidInput

_MAX_FIELDS: Final = 500
_PREDICATE: Final = re.compile(r"(?:must|is|has|was|are|cannot)\b")
#: Problems of fields that no form shows.
OTHER_FIELDS: Final = {"cursor": "This link to older entries no longer works. Start again with the newest ones."}


class Form:
    """Fields with one or more values. A missing field reads as empty."""

    def __init__(self, fields: Mapping[str, Sequence[str]] | None = None) -> None:
        self._fields = dict(fields or {})

    @classmethod
    def read(cls, raw: bytes) -> Self:
        """Reads `application/x-www-form-urlencoded` in UTF-8.

        Raises:
            ProblemError: 400, if it is malformed or has too many fields.
        """
        fields: dict[str, list[str]] = {}
        try:
            pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
        except ValueError:
            raise ProblemError(
                MALFORMED, f"the form is not URL-encoded UTF-8 of at most {_MAX_FIELDS} fields"
            ) from None
        for name, value in pairs:
            fields.setdefault(name, []).append(value)
        return cls(fields)

    def text(self, name: str) -> str:
        """The field's first value, stripped, with line feeds as line ends."""
        return self.raw(name).strip()

    def raw(self, name: str) -> str:
        """The field's first value, unstripped, with line feeds as line ends."""
        return next(iter(self._fields.get(name, ())), "").replace("\r\n", "\n")

    def texts(self, name: str) -> list[str]:
        """All values of the field."""
        return list(self._fields.get(name, ()))

    def lines(self, name: str) -> list[str]:
        """The items of a field, separated by line breaks or commas."""
        items = [item.strip() for item in self.raw(name).replace(",", "\n").split("\n")]
        return [item for item in items if item]

    def defaulted(self, defaults: Mapping[str, Sequence[str]]) -> Form:
        """A copy in which missing fields have default values."""
        return Form({**defaults, **self._fields})

    def digest(self) -> str:
        """A hash of all fields, to recognise a form that is sent twice."""
        return sha256(json.dumps(sorted(self._fields.items())).encode()).hexdigest()

    def __contains__(self, name: str) -> bool:
        return name in self._fields


def beside_fields(
    exc: InvalidInput, labels: Mapping[str, str], pointers: Mapping[str, str] = MappingProxyType({})
) -> tuple[dict[str, str], str]:
    """The problems as sentences: by field name, and one text for those that belong to no field.

    `labels` are the fields' labels by name. `pointers` has the names of fields that the API calls otherwise, by JSON
    pointer. Only the first problem of a field is returned.
    """
    told: dict[str, str] = {}
    others: list[str] = []
    for pointer, problem in exc.problems:
        parent, _, item = pointer.rpartition("/")
        is_entry = parent != "" and (item.isdecimal() or parent in pointers)
        known = parent if is_entry else pointer
        name = pointers.get(known, known.removeprefix("/"))
        text = plain(re.sub(r"`(\w+)`", lambda found: f"“{labels.get(found[1], found[1])}”", problem))
        if name in labels:
            told.setdefault(name, sentence(text, entry_name(item) if is_entry else "This"))
        else:
            others.append(OTHER_FIELDS.get(name) or sentence(text, f"“{name}”" if name else "The form"))
    return told, " ".join(others) if exc.problems else sentence(plain(str(exc)))


def entry_name(item: str) -> str:
    """An entry of a list, by its index in a JSON pointer, or of an object, by its name there."""
    if item.isdecimal() and len(item) < 6:
        return f"Entry {int(item) + 1}"
    name = item.replace("~1", "/").replace("~0", "~")
    return f"“{name[:60]}…”" if len(name) > 60 else f"“{name}”"


def sentence(problem: str, subject: str = "This") -> str:
    """A problem as a sentence: the domain's and the API's have no subject, such as `must not be empty`."""
    text = f"{subject} {problem}" if _PREDICATE.match(problem) else problem[:1].upper() + problem[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."


def plain(text: str) -> str:
    """A text without Markdown's backticks, which pages would show as they are."""
    return re.sub(r"`([^`]*)`", r"“\1”", text)

"""Form fields, as browsers send them in a query or a body."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Final, Self
from urllib.parse import parse_qsl

from api.http.problems import MALFORMED, ProblemError
from domain.errors import InvalidInput

_MAX_FIELDS: Final = 500


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


def beside_fields(exc: InvalidInput, labels: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """Problems in the form's own words: by field name, and one text for those that belong to no field.

    `labels` has the fields' labels. Problems call fields by their names, between backticks: those are the API's words.
    """
    told: dict[str, str] = {}
    others: list[str] = []
    for pointer, problem in exc.problems:
        name = pointer.removeprefix("/")
        text = re.sub(r"`(\w+)`", lambda found: f"“{labels.get(found[1], found[1])}”", problem)
        if name in labels:
            told.setdefault(name, text)
        else:
            others.append(f"{name} {text}".strip())
    return told, "; ".join(others) if exc.problems else str(exc)

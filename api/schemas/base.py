"""Base classes and common types of the API's models: strictness, times, pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import literal_schema
from typing_extensions import TypeAliasType

from domain.event_catalogue.triggers import EVENT_TYPES

#: Default of optional fields that cannot be null. It is never read, because only fields that were sent are.
ABSENT: Final[Any] = None


@dataclass(frozen=True, slots=True)
class OneOf:
    """Restricts a text to some values, as `Literal` does, but with values from a table."""

    values: tuple[str, ...]

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> CoreSchema:
        return literal_schema(list(self.values))


#: A type that is defined in this way is a model of its own in the OpenAPI document. Otherwise, clients made from the
#: document would have a different type for each field.
Trigger = TypeAliasType(
    "Trigger", Annotated[str, OneOf(tuple(EVENT_TYPES)), Field(description="What a feedback loop can subscribe to.")]
)


def tidy_schema(schema: dict[str, Any]) -> None:
    """Removes the defaults that pydantic adds for `ABSENT`, and titles that repeat a name."""
    schema.pop("title", None)
    for field in schema.get("properties", {}).values():
        field.pop("title", None)
        if "default" in field and field["default"] is None and {"type": "null"} not in field.get("anyOf", []):
            del field["default"]


def _tidy_answer_schema(schema: dict[str, Any]) -> None:
    tidy_schema(schema)
    # Later versions may add fields to answers, and clients must not treat them as errors.
    schema.pop("additionalProperties", None)


class RequestModel(BaseModel):
    """A request body. Types are not converted, and unknown fields are errors."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, json_schema_extra=tidy_schema)


class QueryModel(BaseModel):
    """Query parameters. Texts are converted, and unknown parameters are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=tidy_schema)


class AnswerModel(BaseModel):
    """The body of an answer, without the fields that are not set."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_tidy_answer_schema)


class EmptyBody(RequestModel):
    """No body, or an empty object."""


class NoQuery(QueryModel):
    """No query parameters."""


def rule(problem_with: Callable[[Any], str | None]) -> AfterValidator:
    """A check by a function of the domain that returns a problem or None."""

    def check(value: Any) -> Any:
        if problem := problem_with(value):
            raise PydanticCustomError("rule", "{problem}", {"problem": problem})
        return value

    return AfterValidator(check)


Time = Annotated[
    str,
    WithJsonSchema(
        {
            "type": "string",
            "format": "date-time",
            "description": "RFC 3339, UTC.",
            "examples": ["2026-03-01T09:30:00.000Z"],
        }
    ),
]


_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_MS: Final = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(milliseconds=1)
_LAST_MS: Final = (datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC) - _EPOCH) // timedelta(milliseconds=1)


def time_text(unix_ms: int) -> str:
    """RFC 3339 in UTC with milliseconds: `2026-03-01T09:30:00.000Z`. Limited to the years 1 to 9999."""
    moment = _EPOCH + timedelta(milliseconds=min(max(unix_ms, _FIRST_MS), _LAST_MS))
    return f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_TIME_HELP: Final = "must be an RFC 3339 time such as 2026-03-01T09:30:00Z (in a query, write + as %2B)"
_NULL_TIME: Final = "must not be null; leave it out if it is optional, or send a time such as 2026-03-01T09:30:00Z"


def _time_ms(text: Any) -> int:
    if isinstance(text, str) and _RFC_3339.fullmatch(text):
        # Python 3.11 reads up to six decimals, more than milliseconds need.
        with suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text.upper()))
            return (moment - _EPOCH) // timedelta(milliseconds=1)
    raise PydanticCustomError("rule", "{problem}", {"problem": _NULL_TIME if text is None else _TIME_HELP})


#: An RFC 3339 time in a query or a body, as Unix milliseconds.
GivenTime = Annotated[
    Any,
    AfterValidator(_time_ms),
    WithJsonSchema({"type": "string", "format": "date-time", "examples": ["2026-03-01T09:30:00Z"]}),
]


def _plain_digits(value: Any) -> Any:
    # Python would also accept `1_0`, ` 5` and `5.0`.
    if isinstance(value, str) and not _DIGITS.fullmatch(value):
        raise PydanticCustomError("int_type", "must be a whole number")
    return value


_DIGITS: Final = re.compile(r"-?[0-9]{1,18}")
#: A whole number in a query, written only in digits.
QueryCount = Annotated[int, BeforeValidator(_plain_digits)]


#: A name or an id without control characters, as in `domain.validation`. Only the OpenAPI document uses this pattern:
#: the domain's error message is easier to understand.
NAME_PATTERN: Final = r"^[^\u0000-\u001f\u007f-\u009f]*$"


class PageQuery(QueryModel):
    """The part of a list to return."""

    limit: QueryCount = Field(default=50, ge=1, le=200, description="Maximum number of items.")
    cursor: str | None = Field(
        default=None,
        min_length=1,
        max_length=2000,
        description="`next` of the previous page; none for the first page.",
    )


Next = Annotated[str | None, Field(description="The `cursor` of the next page; null on the last page.")]

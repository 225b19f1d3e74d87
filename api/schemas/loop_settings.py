"""Pydantic fields of a loop's settings, built from the rows of `domain.loop_settings`."""

from __future__ import annotations

from collections.abc import Callable
from types import GenericAlias
from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, create_model
from pydantic_core import InitErrorDetails, PydanticCustomError
from typing_extensions import TypeAliasType

from api.schemas.base import ABSENT, NAME_PATTERN, AnswerModel, OneOf, RequestModel, Trigger, rule
from domain.event_catalogue.triggers import EVENT_TYPES
from domain.header_rules import MAX_NAME_CHARS
from domain.header_rules import NAME_PATTERN as NAME_RULE
from domain.header_rules import VALUE_PATTERN as VALUE_RULE
from domain.loop_settings import MASK, SETTINGS, LoopSettings, Setting, nested
from domain.setting_types import Choice, ChoiceList, Count, Flag, Headers, Rate, Text, TextList
from domain.validation import text_problem

M = TypeVar("M", bound=BaseModel)
#: Types and defaults by name, for `create_model`.
Fields = dict[str, Any]


def sent_settings(body: RequestModel) -> dict[str, Any]:
    """The settings that a request contains, by the names of `domain.loop_settings`."""
    sent: dict[str, Any] = body.model_dump(exclude_unset=True)
    filters: dict[str, Any] = sent.get("filters", {})
    return {name: value for name, value in (sent | filters).items() if name in SETTINGS}


def shown_settings(settings: LoopSettings) -> dict[str, Any]:
    """The settings as the API's answers contain them."""
    return nested({name: getattr(settings, name) for name in SETTINGS})


def _request_type(setting: Setting) -> Any:
    """The type of a setting in a request, with its limits."""
    base: Any
    about = _about(setting)
    checks: list[AfterValidator | BeforeValidator] = []
    match setting.type:
        case Choice() as choice:
            base = _choice_type(setting.name, choice.names, choice.offered)
            if choice.not_offered:
                checks.append(_only(choice.offered, choice.not_offered))
        case ChoiceList(names):
            base = GenericAlias(list, _choice_type(setting.name, names, names))
            checks.append(rule(_repeat_problem))
            about |= {"min_length": 1, "json_schema_extra": {"uniqueItems": True}}
        case TextList(max_items, max_chars):
            limits = Field(min_length=1, max_length=max_chars, json_schema_extra={"pattern": NAME_PATTERN})
            base = list[Annotated[str, rule(lambda text: text_problem(text, max_chars)), limits]]
            about["max_length"] = max_items
        case Rate():
            base = float | None
            about |= {"gt": 0, "allow_inf_nan": False, "json_schema_extra": _describe_rate}
        case Count(lowest, highest):
            base = int
            about |= {"ge": lowest, "le": highest}
        case Flag():
            base = bool
        case Text() as text:
            base = str
            checks.append(rule(text.problem))
            about["max_length"] = text.max_chars
        case Headers() as headers:
            base = dict[str, str]
            checks.append(BeforeValidator(_entries_checked(headers)))
            about |= {"json_schema_extra": _headers_schema(headers)}
    return Annotated[(base, *checks, Field(**about))]


def _choice_type(setting: str, names: tuple[str, ...], offered: tuple[str, ...]) -> Any:
    """A text with one of the offered names. If that is any name, requests and answers share a named type."""
    if names == tuple(EVENT_TYPES):
        return Trigger
    choice = Annotated[str, OneOf(offered)]
    return TypeAliasType(f"Loop{setting.capitalize()}", choice) if names == offered else choice


def _answer_type(setting: Setting) -> Any:
    """The type of a setting in an answer. It has no limits, because another version may have others."""
    base: Any
    match setting.type:
        case Choice(names):
            base = _choice_type(setting.name, names, names)
        case ChoiceList(names):
            base = GenericAlias(list, _choice_type(setting.name, names, names))
        case TextList():
            base = list[str]
        case Rate():
            base = float | None
        case Count():
            base = int
        case Flag():
            base = bool
        case Text():
            base = str
        case Headers():
            base = dict[str, str]
    return Annotated[base, Field(description=_description(setting))]


def _about(setting: Setting) -> dict[str, Any]:
    about: dict[str, Any] = {"description": _description(setting)}
    return about if setting.example is None else about | {"examples": [setting.example]}


def _description(setting: Setting) -> str:
    match setting.type:
        case Rate():
            return f"{setting.description} Null: no limit."
        case Headers():
            return (
                f"{setting.description} Answers show `{MASK}`; sent in a change, it keeps the stored value. A `url` on "
                "another host removes the headers, unless they are sent again."
            )
        case _:
            return setting.description


def _entries_checked(headers: Headers) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        found = [
            InitErrorDetails(
                type=PydanticCustomError("rule", "{problem}", {"problem": problem}),
                loc=tuple(part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]),
                input=None,
            )
            for pointer, problem in headers.problems("", value)
        ]
        if found:
            raise ValidationError.from_exception_data("headers", found)
        return value

    return check


def _headers_schema(headers: Headers) -> dict[str, Any]:
    return {
        "maxProperties": headers.max_items,
        "propertyNames": {"pattern": NAME_RULE, "maxLength": MAX_NAME_CHARS},
        "additionalProperties": {
            "type": "string",
            "minLength": 1,
            "maxLength": headers.max_chars,
            "pattern": VALUE_RULE,
        },
    }


def _describe_rate(schema: dict[str, Any]) -> None:
    # Generators of clients make a model of a member of `anyOf` that has limits.
    del schema["anyOf"]
    schema.update({"type": ["number", "null"], "exclusiveMinimum": 0})


def _repeat_problem(items: list[str]) -> str | None:
    repeated = sorted({item for item in items if items.count(item) > 1})
    return f"must not hold an item twice: {', '.join(repeated)}" if repeated else None


def _only(offered: tuple[str, ...], otherwise: str) -> BeforeValidator:
    def check(value: Any) -> Any:
        if value not in offered:
            raise PydanticCustomError("rule", "{problem}", {"problem": otherwise})
        return value

    return BeforeValidator(check)


def _model(name: str, base: type[M], about: str, fields: Fields) -> type[M]:
    return create_model(name, __base__=base, __doc__=about, **fields)


def _default(setting: Setting) -> Any:
    if setting.is_required:
        return ...
    return list(setting.default) if isinstance(setting.default, tuple) else setting.default


_NEW: Final = nested({name: (_request_type(setting), _default(setting)) for name, setting in SETTINGS.items()})
_SENT_FILTERS: Final = _model(
    "LoopFilters",
    RequestModel,
    "Which events pass. An empty list lets all through; filters that a PATCH leaves out stay as they are.",
    _NEW["filters"],
)
_SHOWN: Final = nested({name: (_answer_type(setting), ...) for name, setting in SETTINGS.items()})
_SHOWN_FILTERS: Final = _model(
    "Filters", AnswerModel, "Which events pass; an empty list lets all through.", _SHOWN["filters"]
)

NEW_LOOP_FIELDS: Final[Fields] = _NEW | {"filters": (_SENT_FILTERS, Field(default_factory=_SENT_FILTERS))}
CHANGE_FIELDS: Final[Fields] = {name: (type_, ABSENT) for name, (type_, _) in NEW_LOOP_FIELDS.items()}
ANSWER_FIELDS: Final[Fields] = _SHOWN | {"filters": (_SHOWN_FILTERS, ...)}

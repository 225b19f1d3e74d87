"""Pydantic fields of a loop's settings, built from the rows of `domain.loop_settings`."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, create_model
from pydantic_core import PydanticCustomError

from api.schemas.base import ABSENT, NAME_PATTERN, AnswerModel, OneOf, RequestModel, rule
from domain.loop_settings import SETTINGS, LoopSettings, Setting, nested
from domain.setting_types import Choice, ChoiceList, Count, Flag, Rate, Text, TextList
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
    about: dict[str, Any] = {"description": _description(setting)}
    if setting.example is not None:
        about["examples"] = [setting.example]
    checks: list[AfterValidator | BeforeValidator] = []
    match setting.type:
        case Choice() as choice:
            base = Annotated[str, OneOf(choice.offered)]
            if choice.not_offered:
                checks.append(_only(choice.offered, choice.not_offered))
        case ChoiceList(names):
            base = list[Annotated[str, OneOf(names)]]
            checks.append(rule(_repeat_problem))
            about |= {"min_length": 1, "json_schema_extra": {"uniqueItems": True}}
        case TextList(max_items, max_chars):
            limits = Field(min_length=1, max_length=max_chars, json_schema_extra={"pattern": NAME_PATTERN})
            base = list[Annotated[str, rule(lambda text: text_problem(text, max_chars)), limits]]
            about["max_length"] = max_items
        case Rate():
            base = float | None
            about |= {"gt": 0, "allow_inf_nan": False}
        case Count(lowest, highest):
            base = int
            about |= {"ge": lowest, "le": highest}
        case Flag():
            base = bool
        case Text() as text:
            base = str
            checks.append(rule(text.problem))
            about["max_length"] = text.max_chars
    return Annotated[(base, *checks, Field(**about))]


def _answer_type(setting: Setting) -> Any:
    """The type of a setting in an answer. It has no limits, because another version may have others."""
    base: Any
    match setting.type:
        case Choice(names):
            base = Annotated[str, OneOf(names)]
        case ChoiceList(names):
            base = list[Annotated[str, OneOf(names)]]
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
    return Annotated[base, Field(description=_description(setting))]


def _description(setting: Setting) -> str:
    return f"{setting.description} Null: no limit." if isinstance(setting.type, Rate) else setting.description


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

NEW_LOOP_FIELDS: Final[Fields] = _NEW | {"filters": (_SENT_FILTERS, _SENT_FILTERS())}
CHANGE_FIELDS: Final[Fields] = {name: (type_, ABSENT) for name, (type_, _) in NEW_LOOP_FIELDS.items()}
ANSWER_FIELDS: Final[Fields] = _SHOWN | {"filters": (_SHOWN_FILTERS, ...)}

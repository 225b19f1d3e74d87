"""Fields of the loop form: conversion between a loop's settings and what browsers send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.dashboard.forms import Form, entry_name, plain, sentence
from domain.loop_settings import SETTINGS, LoopSettings, Setting
from domain.setting_types import Choice, ChoiceList, Count, Flag, Headers, Rate, Text, TextList


def form_of(settings: LoopSettings) -> dict[str, Sequence[str]]:
    """The form's fields, filled in with the settings."""
    return {name: _texts(setting, getattr(settings, name)) for name, setting in SETTINGS.items()}


def setting_in(form: Form, setting: Setting) -> Any:
    """A setting as the form has it. An invalid number is returned as text, for the check to refuse."""
    name = setting.name
    match setting.type:
        case ChoiceList():
            return form.texts(name)
        case TextList():
            return form.lines(name)
        case Choice():
            return form.text(name) or setting.default
        case Rate():
            return _number(form.text(name), float)
        case Count():
            return _number(form.text(name) or str(setting.default), int)
        case Flag():
            return form.text(name) != ""
        case Text():
            return form.text(name)
        case Headers():
            lines = [line.partition(":") for line in form.raw(name).split("\n") if line.strip()]
            return {header.strip(): value.strip() for header, _, value in lines}


def setting_problem(setting: Setting, value: Any) -> str | None:
    """The first problem of a setting's value as a sentence for the form's user, or None."""
    pointer, problem = next(setting.type.problems(setting.pointer, value), ("", ""))
    if not problem:
        return None
    match setting.type:
        case ChoiceList() if not value:
            return "Select at least one."
        case Rate():
            return "Enter a number above 0, such as 2.5, or leave this empty for no limit."
        case Count(lowest, highest):
            return f"Enter a whole number from {lowest} to {highest:,}."
    item = pointer.removeprefix(setting.pointer).removeprefix("/")
    return sentence(plain(problem), entry_name(item) if item else "This")


def _texts(setting: Setting, value: Any) -> Sequence[str]:
    match setting.type:
        case ChoiceList():
            return list(value)
        case TextList():
            return ["\n".join(value)]
        case Rate():
            return ["" if value is None else f"{value:g}"]
        case Flag():
            return ["on" if value else ""]
        case Headers():
            return ["\n".join(f"{header}: {text}" for header, text in value.items())]
        case Choice() | Count() | Text():
            return [str(value)]


def _number(text: str, kind: type[int | float]) -> Any:
    # Python also reads `1_000` and digits of other scripts, which would look like another number.
    if not text.isascii() or "_" in text:
        return text
    try:
        return kind(text) if text else None
    except ValueError:
        return text

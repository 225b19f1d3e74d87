"""Fields of the loop form: conversion between a loop's settings and what browsers send."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.dashboard.forms import Form
from domain.loop_settings import SETTINGS, LoopSettings, Setting
from domain.setting_types import Choice, ChoiceList, Count, Flag, Rate, Text, TextList


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
        case Choice() | Count() | Text():
            return [str(value)]


def _number(text: str, kind: type[int | float]) -> Any:
    try:
        return kind(text) if text else None
    except ValueError:
        return text

"""Command-line options of a loop's settings, generated from the rows of `domain.loop_settings`."""

from __future__ import annotations

import argparse
import json
import sys
from math import isfinite
from pathlib import Path
from typing import Any, Final

from domain.loop_settings import SETTINGS, Setting, nested
from domain.setting_types import Choice, ChoiceList, Count, Flag, Headers, Rate, Text, TextList

_OFFERED: Final = [setting for setting in SETTINGS.values() if setting.is_offered]
#: Lifts a limit, as a number no caller can give.
_NO_LIMIT: Final = 0.0


def add_options(parser: argparse.ArgumentParser, *, is_new: bool) -> None:
    """Adds an option for each setting. For a new loop, some are required and the help shows defaults."""
    if not is_new:
        parser.add_argument("--no-filters", action="store_true", help="remove all filters that are not given here")
        parser.add_argument("--no-headers", action="store_true", help="remove all headers")
    for setting in _OFFERED:
        _add_option(parser, setting, is_new=is_new)


def _add_option(parser: argparse.ArgumentParser, setting: Setting, *, is_new: bool) -> None:
    required = is_new and setting.is_required
    about: dict[str, Any] = {"dest": setting.name, "required": required, "help": _help(setting, is_new=is_new)}
    match setting.type:
        case ChoiceList() | TextList():
            about |= {"action": "append", "metavar": "NAME"}
        case Choice(_, offered):
            about["choices"] = offered
        case Rate():
            about |= {"type": rate, "metavar": "N"}
        case Count():
            about |= {"type": int, "metavar": "N"}
        case Flag():
            about["action"] = argparse.BooleanOptionalAction
        case Text():
            about["metavar"] = "TEXT"
        case Headers():
            about |= {"action": "extend", "type": header_lines, "metavar": "'NAME: VALUE'"}
    parser.add_argument(_flag(setting), **about)


def _flag(setting: Setting) -> str:
    is_list = isinstance(setting.type, ChoiceList | TextList | Headers)
    name = setting.name.removesuffix("s") if is_list else setting.name
    return f"--{name.replace('_', '-')}"


def _help(setting: Setting, *, is_new: bool) -> str:
    text = setting.description[0].lower() + setting.description[1:].removesuffix(".")
    match setting.type:
        case ChoiceList(names):
            text += f"; repeat it or use commas: {', '.join(names)}"
        case TextList():
            text += "; can be repeated"
        case Headers():
            text += "; can be repeated; @FILE reads them from the lines of a file, and @- from standard input"
        case Rate():
            text += ", or none"
        case _:
            pass
    default = "none" if setting.default is None else "yes" if setting.default is True else setting.default
    return f"{text}; default: {default}" if is_new and default and not setting.is_required else text


def given(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given, as the API expects them."""
    values = {setting.name: _value(setting, getattr(options, setting.name)) for setting in _OFFERED}
    values = {name: value for name, value in values.items() if getattr(options, name) is not None}
    if getattr(options, "no_filters", False):
        values = {name: [] for name, setting in SETTINGS.items() if setting.is_filter} | values
    if getattr(options, "no_headers", False):
        values = {"headers": {}} | values
    return nested(values)


def _value(setting: Setting, option: Any) -> Any:
    match setting.type:
        case ChoiceList() if option is not None:
            return [name for names in option for name in names.split(",")]
        case Rate() if option == _NO_LIMIT:
            return None
        case Headers() if option is not None:
            return dict(option)
        case _:
            return option


def rate(text: str) -> float:
    """Reads a number above 0, or `none`."""
    if text == "none":
        return _NO_LIMIT
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError("must be a number above 0, or none")
    return value


def header_lines(text: str) -> list[tuple[str, str]]:
    """Reads `NAME: VALUE`, or `@FILE` with such lines, so that other users of the machine do not see the values."""
    if text.startswith("@"):
        try:
            text = sys.stdin.read() if text == "@-" else Path(text[1:]).read_text(encoding="utf-8")
        except (OSError, ValueError) as exc:
            raise argparse.ArgumentTypeError(f"{text[1:]} cannot be read: {exc}") from None
    headers = []
    for line in filter(str.strip, text.splitlines()):
        name, colon, value = line.partition(":")
        if not colon:
            raise argparse.ArgumentTypeError("must be a header like 'Authorization: Bearer …'")
        headers.append((name.strip(), value.strip()))
    return headers


def json_object(text: str) -> dict[str, Any]:
    """Reads a JSON object. Constants that only Python knows, such as NaN, are errors."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()  # fails for half of a surrogate pair
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError("must be JSON: a \\u escape is half of a surrogate pair") from None
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"must be JSON: {exc}") from None
    except RecursionError:
        raise argparse.ArgumentTypeError("must be JSON: it is nested too deeply") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError('must be a JSON object, like {"recipient": "j@example.com"}')
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")

"""A feedback loop's settings as options of a command, when it is made and when it is changed."""

from __future__ import annotations

import argparse
import json
from math import isfinite
from typing import Any, Final

from domain.values import Trigger

_FILTERS: Final = {"tag": "tags", "database": "databases", "collection": "collections"}
_PLAIN: Final = ("format", "max_concurrency", "ordered", "description")


def add_options(parser: argparse.ArgumentParser, *, is_new: bool) -> None:
    """Adds an option for each setting. Of a new loop the triggers must be given, and defaults are told."""

    def default(what: str) -> str:
        return f"; default: {what}" if is_new else ""

    parser.add_argument(
        "--trigger",
        action="append",
        required=is_new,
        metavar="NAME",
        help=f"type of event wanted, several with commas; can be repeated: {', '.join(Trigger)}",
    )
    parser.add_argument("--format", choices=("form", "json"), help=f"how the POST's body is written{default('form')}")
    parser.add_argument("--tag", action="append", metavar="TAG", help="only of messages with such a tag")
    parser.add_argument("--database", action="append", metavar="NAME", help="only of messages with a profile in it")
    parser.add_argument("--collection", action="append", metavar="NAME", help="only of subprofiles in it")
    if not is_new:
        parser.add_argument("--no-filters", action="store_true", help="of all messages; before filters that are given")
    parser.add_argument("--rate-limit", type=rate, metavar="N", help=f"POSTs a second, or none{default('none')}")
    parser.add_argument("--max-concurrency", type=int, metavar="N", help=f"POSTs at the same time{default('16')}")
    parser.add_argument(
        "--ordered",
        action=argparse.BooleanOptionalAction,
        help="send events one after the other, in their order; or (--no-ordered) several at a time",
    )
    parser.add_argument("--description", metavar="TEXT", help="for people")


def given(options: argparse.Namespace) -> dict[str, Any]:
    """The settings that were given, as the API takes them."""
    body = {name: getattr(options, name) for name in _PLAIN if getattr(options, name) is not None}
    if options.trigger is not None:
        body["triggers"] = [trigger for named in options.trigger for trigger in named.split(",")]
    if options.rate_limit is not None:
        body["rate_limit"] = options.rate_limit or None
    filters = {of: getattr(options, name) for name, of in _FILTERS.items() if getattr(options, name) is not None}
    if getattr(options, "no_filters", False):
        filters = {of: [] for of in _FILTERS.values()} | filters
    return body | ({"filters": filters} if filters else {})


def rate(text: str) -> float:
    """Reads a number above 0, or `none`, which is 0 here."""
    if text == "none":
        return 0.0
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not (isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError("must be a number above 0, or none")
    return value


def json_object(text: str) -> dict[str, Any]:
    """Reads a JSON object. What Python takes beyond JSON, such as NaN, is none."""
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(f"must be JSON: {exc}") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError('must be a JSON object, like {"recipient": "j@example.com"}')
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")

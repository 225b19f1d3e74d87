"""Sections of the API reference in Markdown, made from the OpenAPI document, for `/docs` and docs/reference/api.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

from api.http.problems import PROBLEM_JSON

Schema = dict[str, Any]
#: Statuses with the descriptions of their problems.
Common = set[tuple[str, str]]

#: A problem of at least this many calls is listed once, at the top.
COMMON_FROM: Final = 8

_COMMON: Final = "Any call can return one of these problems. Other problems are listed with the call.\n"
_KEYS: Final = {"apiKey": "an API key", "adminKey": "the admin key"}


def calls_section(document: Schema) -> Iterator[str]:
    """The common problems, then every call, by tag."""
    calls = [(path, method, call) for path, item in document["paths"].items() for method, call in item.items()]
    common = _common_problems(call for _, _, call in calls)
    yield _COMMON
    yield table(("status", "problems"), sorted(common)) + "\n"
    for tag in document["tags"]:
        yield f"## {tag['name']}\n"
        yield from (_call(*call, common) for call in calls if tag["name"] in call[2]["tags"])


def webhooks_section(document: Schema) -> Iterator[str]:
    """Every event that a handler receives."""
    yield "## What a handler receives\n"
    for event, item in document["webhooks"].items():
        post = item["post"]
        yield f"### {event}\n"
        yield f"{post['description']}\n\nBody: {_contents(post['requestBody'])}\n"
        yield table(("header", ""), ((f"`{p['name']}`", p["description"]) for p in post["parameters"])) + "\n"
        responses = ((status, response["description"]) for status, response in post["responses"].items())
        yield table(("response", "meaning"), responses) + "\n"


def models_section(models: Schema) -> Iterator[str]:
    """Every model with its fields."""
    yield "## Models\n"
    yield from (_model(name, schema) for name, schema in models.items())


def table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table; cells are Markdown, line breaks and bars in them included."""
    lines = ("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows)
    return "\n".join([f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *lines])


def _common_problems(calls: Iterable[Schema]) -> Common:
    found = Counter(
        (status, response["description"])
        for call in calls
        for status, response in call["responses"].items()
        if PROBLEM_JSON in response.get("content", {})
    )
    return {problem for problem, count in found.items() if count >= COMMON_FROM}


def _call(path: str, method: str, call: Schema, common: Common) -> str:
    keys = " or ".join(_KEYS[name] for scheme in call["security"] for name in scheme)
    access = f"with {keys}" if keys else "without a key"
    parts = [f"### {call['summary']}\n", f"`{method.upper()} {path}`, {access}\n"]
    if description := call.get("description"):
        parts.append(f"{description}\n")
    if parameters := [p for p in call.get("parameters", ()) if p["name"] != "Idempotency-Key"]:
        rows = ((f"`{p['name']}`", p["in"], _type(p["schema"]), p.get("description", "")) for p in parameters)
        parts.append(table(("parameter", "in", "type", ""), rows) + "\n")
    if body := call.get("requestBody"):
        parts.append(f"Body: {_contents(body)}. {body['description']}\n")
        if example := next(iter(body["content"].values())).get("example"):
            parts.append(f"```text\n{json.dumps(example, indent=2)}\n```\n")
    responses = (
        (status, response["description"], _contents(response))
        for status, response in call["responses"].items()
        if (status, response["description"]) not in common
    )
    return "\n".join([*parts, table(("status", "", "body"), responses), ""])


def _contents(holder: Schema) -> str:
    return " or ".join(
        f"`{media}` {_type(content.get('x-itemSchema') or content['schema'])}"
        f"{' per line' if 'x-itemSchema' in content else ''}"
        for media, content in holder.get("content", {}).items()
    )


def _model(name: str, schema: Schema) -> str:
    about = f"{schema['description']}\n\n" if schema.get("description") else ""
    if "enum" in schema:
        return f"### {name}\n\n{about}One of {_type(schema)}\n"
    required = schema.get("required", [])
    rows = (
        (f"`{field}`", _type(s), "required" if field in required else "", s.get("description", ""))
        for field, s in schema.get("properties", {}).items()
    )
    return f"### {name}\n\n{about}{table(('field', 'type', '', ''), rows)}\n"


def _type(schema: Schema) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "enum" in schema:
        return " ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    types = schema.get("type") or "anything"
    return str(schema.get("format") or (types if isinstance(types, str) else " or ".join(types)))

"""The reference page of the HTTP API, made from the OpenAPI document.

python -m api.openapi.markdown > docs/reference/api.md
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from typing import Any, Final

from api.http.problems import KINDS
from api.openapi import webhooks
from api.openapi.document import openapi_document
from api.openapi.html import usual_problems
from api.routes import OPERATIONS
from api.routes.openapi import with_documents

Schema = dict[str, Any]
#: Of a call: its path, its method and what the document says of it.
Called = tuple[str, str, Schema]

_BEGINNING: Final = """\
# HTTP API

{about}

A running service has this page at `/docs`, the OpenAPI 3.1 document at `/openapi.json`, and an explanation of each
problem at its `type`. What handlers get is on [a page of its own](events.md).

This page is made from the operations in `api/routes`.

Any call may also be answered by one of these problems; others are said beside the call.

{usual}
"""
_KEYS: Final = {"apiKey": "with an API key", "adminKey": "with the admin key"}


def page() -> str:
    """The page, in Markdown."""
    operations = with_documents(OPERATIONS, "")
    document = openapi_document(operations, "")
    called = [(path, method, op) for path, item in document["paths"].items() for method, op in item.items()]
    usual = usual_problems(operation for _, _, operation in called)
    beginning = _BEGINNING.format(
        about=document["info"]["description"], usual=_table(("status", "problems"), sorted(usual))
    )
    events = webhooks.models()
    models = ((name, model) for name, model in document["components"]["schemas"].items() if name not in events)
    parts = [
        beginning,
        *(part for tag in document["tags"] for part in _tag(tag["name"], called, usual)),
        "## Models\n",
        *(_model(*model) for model in models),
        "## Problems\n",
        _table(("type", "status", "title"), ((f"`{k.type}`", str(k.status), k.title) for k in KINDS.values())),
    ]
    return "\n".join(parts) + "\n"


def _tag(name: str, called: Iterable[Called], usual: set[tuple[str, str]]) -> Iterator[str]:
    yield f"## {name}\n"
    yield from (_call(*one, usual) for one in called if name in one[2]["tags"])


def _call(path: str, method: str, operation: Schema, usual: set[tuple[str, str]]) -> str:
    key = _KEYS.get("".join(name for scheme in operation["security"] for name in scheme), "without a key")
    parts = [f"### {operation['summary']}\n", f"`{method.upper()} {path}`, {key}\n"]
    if description := operation.get("description"):
        parts.append(f"{description}\n")
    if parameters := [p for p in operation.get("parameters", ()) if p["name"] != "Idempotency-Key"]:
        rows = ((f"`{p['name']}`", p["in"], _type(p["schema"]), p.get("description", "")) for p in parameters)
        parts.append(_table(("parameter", "in", "type", ""), rows) + "\n")
    if body := operation.get("requestBody"):
        parts.append(f"Body: {_contents(body)}. {body['description']}\n")
        if example := next(iter(body["content"].values())).get("example"):
            parts.append(f"```text\n{json.dumps(example, indent=2)}\n```\n")
    answers = (
        (status, response["description"], _contents(response))
        for status, response in operation["responses"].items()
        if (status, response["description"]) not in usual
    )
    return "\n".join([*parts, _table(("status", "", "body"), answers), ""])


def _contents(holder: Schema) -> str:
    return " or ".join(
        f"`{media}` {_type(content.get('x-itemSchema') or content['schema'])}"
        f"{' per line' if 'x-itemSchema' in content else ''}"
        for media, content in holder.get("content", {}).items()
    )


def _model(name: str, schema: Schema) -> str:
    required = schema.get("required", [])
    rows = (
        (f"`{field}`", _type(s), "required" if field in required else "", s.get("description", ""))
        for field, s in schema.get("properties", {}).items()
    )
    about = f"{schema['description']}\n\n" if schema.get("description") else ""
    return f"### {name}\n\n{about}{_table(('field', 'type', '', ''), rows)}\n"


def _type(schema: Schema) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in schema:
        return " or ".join(map(_type, schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        return " ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "anything")


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = ("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |" for row in rows)
    return "\n".join([f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *lines])


if __name__ == "__main__":
    sys.stdout.write(page())

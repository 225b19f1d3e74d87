"""The OpenAPI document as one page for people: made here, with nothing from another host and no script."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Iterable
from hashlib import sha256
from html import escape
from typing import Any, Final

from api.http.problems import KINDS, PROBLEM_JSON, Kind

Schema = dict[str, Any]
#: Statuses and their descriptions.
Usual = set[tuple[str, str]]

#: A problem of so many calls is said once.
MANY: Final = 8

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 1rem 1.5rem 6rem; }
pre { background: var(--soft); border-radius: 4px; overflow-x: auto; padding: 0.5em; }
code { font: 0.9em ui-monospace, monospace; background: var(--soft); border-radius: 4px; padding: 0.1em 0.3em; }
nav ul { columns: 18rem; list-style: none; padding: 0; }
section { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: 0.5rem; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0 1rem; }
th, td { border-bottom: 1px solid var(--line); padding: 0.3rem 0.6rem; text-align: left; vertical-align: top; }
.method { font-weight: 700; }
"""
_STYLE_HASH: Final = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()

_UNFRAMED: Final = "frame-ancestors 'none'"

#: Nothing may be loaded, run, framed or sent; the style is known by its hash.
HEADERS: Final = (
    (
        "Content-Security-Policy",
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; {_UNFRAMED}",
    ),
    ("Referrer-Policy", "no-referrer"),
)


def docs_page(document: Schema) -> str:
    """The page of all operations, models and problems of the document."""
    operations = [
        (path, method, operation) for path, item in document["paths"].items() for method, operation in item.items()
    ]
    usual = usual_problems(operation for _, _, operation in operations)
    body = [
        f"<h1>{escape(document['info']['title'])} {escape(document['info']['version'])}</h1>",
        *(_paragraph(part) for part in document["info"]["description"].split("\n\n")),
        "<p>Any call may also be answered by one of these problems; others are said beside the call.</p>",
        _table(("status", ""), ((status, _prose(what)) for status, what in sorted(usual))),
        '<p>The same for programs: <a href="/openapi.json">openapi.json</a>.</p>',
        _contents(operations),
        *(_operation(*operation, usual) for operation in operations),
        '<h2 id="webhooks">What a handler gets</h2>',
        *(_webhook(event, item["post"]) for event, item in document["webhooks"].items()),
        "<h2>Models</h2>",
        *(_model(name, schema) for name, schema in document["components"]["schemas"].items()),
        "<h2>Problems</h2>",
        _table(("type", "status", "title"), (_problem_row(kind) for kind in KINDS.values())),
    ]
    return _page(f"{document['info']['title']} API", body)


def problem_page(kind: Kind) -> str:
    """What a problem's `type` leads to."""
    body = [
        f"<h1>{escape(kind.title)}</h1>",
        f"<p>Status {kind.status}, type <code>{kind.type}</code></p>",
        _paragraph(kind.advice),
        '<p><a href="/docs">All of the API</a></p>',
    ]
    return _page(kind.title, body)


def _page(title: str, body: Iterable[str]) -> str:
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return (
        f'<!doctype html><html lang="en"><head>{head}<style>{_STYLE}</style></head><body>{"".join(body)}</body></html>'
    )


def _paragraph(text: str) -> str:
    return f"<p>{_prose(text)}</p>" if text else ""


def _prose(text: str) -> str:
    """Text with `code` in backticks."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _contents(operations: Iterable[tuple[str, str, Schema]]) -> str:
    links = (
        f'<li><a href="#{o["operationId"]}"><span class="method">{method.upper()}</span> {escape(path)}</a></li>'
        for path, method, o in operations
    )
    return f"<nav><ul>{''.join(links)}</ul></nav>"


def usual_problems(operations: Iterable[Schema]) -> Usual:
    """The problems that so many calls may answer that they are said once."""
    found = Counter(
        (status, response["description"])
        for operation in operations
        for status, response in operation["responses"].items()
        if PROBLEM_JSON in response.get("content", {})
    )
    return {problem for problem, count in found.items() if count >= MANY}


def _operation(path: str, method: str, operation: Schema, usual: Usual) -> str:
    parts = [
        f'<section id="{operation["operationId"]}"><h3>{escape(operation["summary"])}</h3>',
        f'<p><code><span class="method">{method.upper()}</span> {escape(path)}</code> {_key(operation)}</p>',
        _paragraph(operation.get("description", "")),
    ]
    if parameters := operation.get("parameters"):
        rows = ((_code(p["name"]), p["in"], _type(p["schema"]), _prose(p.get("description", ""))) for p in parameters)
        parts.append(_table(("parameter", "in", "type", ""), rows))
    if body := operation.get("requestBody"):
        parts += [f"<p>Body: {_contents_of(body)}</p>", _example(body)]
    answers = (
        (status, _prose(r["description"]), _contents_of(r))
        for status, r in operation["responses"].items()
        if (status, r["description"]) not in usual
    )
    return "".join([*parts, _table(("status", "", "body"), answers), "</section>"])


def _webhook(event: str, operation: Schema) -> str:
    headers = ((_code(p["name"]), _prose(p["description"])) for p in operation["parameters"])
    answers = ((status, _prose(r["description"])) for status, r in operation["responses"].items())
    return "".join(
        [
            f'<section id="{operation["operationId"]}"><h3>{escape(event)}</h3>',
            _paragraph(operation["description"]),
            f"<p>Body: {_contents_of(operation['requestBody'])}</p>",
            _table(("header", ""), headers),
            _table(("answer", "what it means"), answers),
            "</section>",
        ]
    )


def _example(body: Schema) -> str:
    """The first example, where it says anything."""
    example = next(iter(body["content"].values())).get("example")
    return f"<pre>{escape(json.dumps(example, indent=2))}</pre>" if example else ""


def _key(operation: Schema) -> str:
    names = [name for scheme in operation["security"] for name in scheme]
    return {"apiKey": "with an API key", "adminKey": "with the admin key"}.get("".join(names), "without a key")


def _contents_of(holder: Schema) -> str:
    return "<br>".join(
        f"{_code(media)} {_type(content.get('x-itemSchema') or content['schema'])}{_per_line(content)}"
        for media, content in holder.get("content", {}).items()
    )


def _per_line(content: Schema) -> str:
    return " per line" if "x-itemSchema" in content else ""


def _model(name: str, schema: Schema) -> str:
    required = schema.get("required", [])
    rows = (
        (_code(field), _type(s), "required" if field in required else "", _prose(s.get("description", "")))
        for field, s in schema.get("properties", {}).items()
    )
    about = _paragraph(schema.get("description", ""))
    return f'<section id="model-{name}"><h3>{name}</h3>{about}{_table(("field", "type", "", ""), rows)}</section>'


def _type(schema: Schema) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f'<a href="#model-{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_type(kind) for kind in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return " ".join(_code(str(value)) for value in schema.get("enum", [schema.get("const")]))
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return escape(str(schema.get("format") or schema.get("type") or "anything"))


def _problem_row(kind: Kind) -> tuple[str, str, str]:
    return f'<a href="{kind.type}">{kind.type}</a>', str(kind.status), escape(kind.title)


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{h}</th>" for h in heads)
    lines = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>" if lines else ""

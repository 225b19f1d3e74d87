"""HTML pages of the API reference at `/docs` and of each problem: rendered here, without scripts or other hosts."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from html import escape
from typing import Any, Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from api.http.problem_types import ProblemType
from api.openapi.markdown import calls_section, models_section, webhooks_section
from api.openapi.problem_table import limit_of, problems_section

Schema = dict[str, Any]

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 1rem 1.5rem 6rem; }
pre { background: var(--soft); border-radius: 4px; overflow-x: auto; padding: 0.5em; }
code { font: 0.9em ui-monospace, monospace; background: var(--soft); border-radius: 4px; padding: 0.1em 0.3em; }
#contents + ul { columns: 18rem; list-style: none; padding: 0; }
h3 { border-top: 1px solid var(--line); margin-top: 2rem; padding-top: 0.5rem; }
table { border-collapse: collapse; width: 100%; margin: 0.5rem 0 1rem; }
th, td { border-bottom: 1px solid var(--line); padding: 0.3rem 0.6rem; text-align: left; vertical-align: top; }
"""
_STYLE_HASH: Final = base64.b64encode(sha256(_STYLE.encode()).digest()).decode()

_POLICY: Final = (
    "default-src 'none'",
    f"style-src 'sha256-{_STYLE_HASH}'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
)
#: The page loads, runs, frames and sends nothing. Its style is allowed by its hash.
HEADERS: Final = (("Content-Security-Policy", "; ".join(_POLICY)), ("Referrer-Policy", "no-referrer"))

#: HTML in the text is escaped.
_MARKDOWN: Final = MarkdownIt("commonmark", {"html": False}).enable("table")


def docs_page(document: Schema) -> str:
    """All calls, events, models and problems of the OpenAPI document."""
    info = document["info"]
    calls = [(path, method, call) for path, item in document["paths"].items() for method, call in item.items()]
    models = document["components"]["schemas"]
    anchors = {_slug(call["summary"]): call["operationId"] for _, _, call in calls}
    anchors |= {_slug(name): f"model-{name}" for name in models}
    text = "\n".join(
        [
            f"# {info['title']} {info['version']}\n",
            f"{info['description']}\n",
            "The same for programs: [openapi.json](/openapi.json).\n",
            "## Contents\n",
            *(f"- [{method.upper()} {path}](#{_slug(call['summary'])})" for path, method, call in calls),
            "",
            *calls_section(document),
            *webhooks_section(document),
            *models_section(models),
            *problems_section("[{type}]({type})"),
        ]
    )
    return _page(f"{info['title']} API", text, anchors)


def problem_page(kind: ProblemType) -> str:
    """The page that a problem's `type` links to."""
    facts = f"Status {kind.status}, type `{kind.type}`\n\n{kind.advice}\n\nLimits: {limit_of(kind)}."
    text = f"# {kind.title}\n\n{facts}\n\n[API reference](/docs#problems)\n"
    return _page(kind.title, text, {})


def _page(title: str, text: str, anchors: Mapping[str, str]) -> str:
    """`anchors`: the ids of headings by their slugs. Other headings have their slug as id."""
    tokens = _MARKDOWN.parse(text)
    _set_anchors(tokens, anchors)
    body = _MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return f'<!doctype html><html lang="en"><head>{head}<style>{_STYLE}</style></head><body>{body}</body></html>'


def _set_anchors(tokens: Iterable[Token], anchors: Mapping[str, str]) -> None:
    heading: Token | None = None
    for token in tokens:
        if token.type == "heading_open":
            heading = token
        elif token.type == "inline":
            if heading is not None:
                heading.attrSet("id", anchors.get(_slug(token.content), _slug(token.content)))
                heading = None
            for link in token.children or ():
                target = str(link.attrGet("href") or "")
                if target.startswith("#"):
                    link.attrSet("href", f"#{anchors.get(target[1:], target[1:])}")


def _slug(heading: str) -> str:
    """The id that a Markdown site gives a heading."""
    return re.sub(r"[^\w-]+", "-", heading.lower()).strip("-")

"""Rendering of templates to HTML. All values are escaped."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from api.dashboard import labels
from api.dashboard.foreign_text import escaped, visible
from api.dashboard.forms import plain
from api.dashboard.static_files import StaticFiles
from api.dashboard.time_fields import field_text
from api.schemas.base import time_text


class Renderer:
    """The dashboard's templates; each is loaded once."""

    def __init__(self, static: StaticFiles) -> None:
        self._environment: Final = Environment(
            loader=PackageLoader("api.dashboard"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "plain": plain,
            "time": time_html,
            "element_id": element_id,
            "field_text": field_text,
            "segment": lambda text: quote(text, safe=""),
            "count": count_text,
            "duration": duration_text,
            "share": share_text,
            "size": size_text,
            "bytes": bytes_text,
            "json": lambda value: json.dumps(value, ensure_ascii=False),
            "pretty": lambda value: escaped(json.dumps(value, ensure_ascii=False, indent=2)),
            "visible": visible,
        }
        self._environment.globals |= {"static": static.path, "words": labels}

    def render(self, template: str, values: Mapping[str, Any]) -> bytes:
        """The page."""
        return self._environment.get_template(template).render(values).encode("utf-8", "replace")


def time_html(unix_ms: int | None, otherwise: str = "never") -> Markup:
    """A time in UTC, which the page's script converts to the viewer's zone. Hovering shows UTC."""
    if unix_ms is None:
        return Markup('<span class="quiet">{}</span>').format(otherwise)
    moment = datetime.fromtimestamp(unix_ms / 1000, UTC)
    shown = f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(time_text(unix_ms), shown, shown)


def element_id(name: str) -> str:
    """A field's name or JSON pointer as part of an element id: `/filters/tags` becomes `filters-tags`."""
    return name.strip("/").replace("/", "-")


def count_text(number: int) -> str:
    """`12,345`."""
    return f"{number:,}"


def duration_text(milliseconds: float | None) -> str:
    """`7 ms`, `1.4 s`, or a dash."""
    if milliseconds is None:
        return "–"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def size_text(size_bytes: float | None) -> str:
    """`12.5 MB`, `75.3 GB`, or a dash."""
    if size_bytes is None:
        return "–"
    return f"{size_bytes / 1e6:.1f} MB" if size_bytes < 1e9 else f"{size_bytes / 1e9:,.1f} GB"


def bytes_text(size_bytes: int) -> str:
    """`1 byte`, `812 bytes`, `12.5 kB`."""
    if size_bytes < 1000:
        return f"{size_bytes} byte{'s' if size_bytes != 1 else ''}"
    return f"{size_bytes / 1000:,.1f} kB"


def share_text(share: float | None) -> str:
    """`99.2 %`; never rounded up to 100 %."""
    if share is None:
        return "–"
    return "100 %" if share == 1 else f"{min(share * 100, 99.9):.1f} %"

"""Search for traces of a text in bytes, in every form in which files, logs and databases may hold it."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

import psycopg

_PAGE: Final = 4096


def forms_of(text: str) -> set[bytes]:
    """The text itself, as hexadecimal, percent-encoded, and within base64 at each of its three alignments."""
    raw = text.encode()
    percent = {quote(text, safe=""), quote(text), "".join(f"%{byte:02x}" for byte in raw)}
    found = {raw, raw.hex().encode(), raw.hex().upper().encode(), text.encode("utf-16-le")}
    found |= {form.encode() for form in percent} | {form.lower().encode() for form in percent}
    found |= {text.upper().encode()}
    return found | {within_base64(raw, shift) for shift in range(3)}


def within_base64(raw: bytes, shift: int) -> bytes:
    """The characters of base64 that only depend on these bytes, which begin `shift` bytes after a group's start."""
    encoded = b64encode(bytes(shift) + raw).rstrip(b"=")
    first = -(-shift * 8 // 6)
    whole = (shift + len(raw)) * 8 // 6
    return encoded[first:whole]


def traces(texts: Iterable[str], haystack: bytes) -> set[tuple[str, bytes]]:
    """Each text that is found, with the form in which it is."""
    written = without_empty_pages(haystack)
    return {(text, form) for text in texts for form in forms_of(text) if form in written}


def without_empty_pages(data: bytes) -> bytes:
    """The data with one zero byte for each page of zeros. Most of a journal is room that nothing was written to."""
    pages = (data[start : start + _PAGE] for start in range(0, len(data), _PAGE))
    return b"".join(page if page.strip(b"\0") else b"\0" for page in pages)


def files_of(*places: Path) -> dict[str, bytes]:
    """Everything in these folders and files, by path. What is removed meanwhile is left out."""
    paths = [place for place in places if place.is_file()]
    paths += [Path(folder, name) for place in places for folder, _, names in os.walk(place) for name in names]
    found: dict[str, bytes] = {}
    for path in paths:
        with suppress(FileNotFoundError):
            if path.is_file() and not path.is_symlink():
                found[str(path)] = path.read_bytes()
    return found


def where(found: Mapping[str, bytes], texts: Iterable[str]) -> dict[str, set[str]]:
    """The places that have a trace of these texts, each with what it has."""
    hits = {name: {f"{text} as {form[:40]!r}" for text, form in traces(texts, data)} for name, data in found.items()}
    return {name: has for name, has in hits.items() if has}


def tables_of(url: str) -> dict[str, bytes]:
    """All rows of all tables, and the planner's statistics about them, as text."""
    found = {}
    with psycopg.connect(url) as connection:
        names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
        for (name,) in [*names, ("pg_stats",)]:
            rows = connection.execute(f"SELECT * FROM {name}".encode()).fetchall()
            found[f"table {name}"] = b"\n".join(
                b"\t".join(bytes(v) if isinstance(v, bytes | memoryview) else str(v).encode() for v in row)
                for row in rows
            )
    return found

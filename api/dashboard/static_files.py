"""Style sheets and scripts: compressed in advance, each at a URL with its hash so that browsers cache it."""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from api.http.response import Response

_TYPES: Final[Mapping[str, str]] = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_FOR_EVER: Final = (("Cache-Control", "public, max-age=31536000, immutable"), ("Vary", "Accept-Encoding"))


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file, ready to be served."""

    content: bytes
    compressed: bytes
    content_type: str

    def response(self, accept_encoding: str) -> Response:
        """The file, compressed if the client accepts gzip."""
        if "gzip" not in accept_encoding:
            return Response(body=self.content, content_type=self.content_type, headers=_FOR_EVER)
        headers = (*_FOR_EVER, ("Content-Encoding", "gzip"))
        return Response(body=self.compressed, content_type=self.content_type, headers=headers)


class StaticFiles:
    """All static files of the dashboard, read once."""

    def __init__(self, root: str) -> None:
        """`root` is the path prefix of all files."""
        self._paths: dict[str, str] = {}
        self._files: dict[str, StaticFile] = {}
        for name, content in _found(files("api.dashboard") / "static", ""):
            stem, _, kind = name.rpartition(".")
            hashed = f"{stem}.{sha256(content).hexdigest()[:16]}.{kind}"
            self._paths[name] = f"{root}/{hashed}"
            compressed = gzip.compress(content, 9, mtime=0)
            self._files[hashed] = StaticFile(content, compressed, _TYPES[kind])

    def path(self, name: str) -> str:
        """The URL's path of a file such as `dashboard.css`. Raises `KeyError`."""
        return self._paths[name]

    def file(self, hashed: str) -> StaticFile | None:
        """The file at this path below the root, or None, also for the hash of an older version."""
        return self._files.get(hashed)


def _found(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _found(entry, f"{prefix}{entry.name}/")
        elif entry.name.rpartition(".")[2] in _TYPES:
            found.append((f"{prefix}{entry.name}", entry.read_bytes()))
    return found

"""Which program this process runs: its version, and a digest of its code, for versions are counted at releases only."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

import domain
from actors.user_agent import VERSION

_DIGEST_BYTES: Final = 6


def _digest() -> str:
    """Of what an actor may have loaded. Some milliseconds."""
    found = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for package in (Path(__file__).parent, Path(domain.__file__).parent):
        for file in sorted(package.rglob("*.py")):
            found.update(file.read_bytes())
    return found.hexdigest()


#: Made when the process begins: later another one may be installed in its place.
PROGRAM: Final = f"{VERSION} {_digest()}"

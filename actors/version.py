"""Version of the program, with a digest of its code to distinguish programs of the same version number."""

from __future__ import annotations

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import domain

_DIGEST_BYTES: Final = 6


def _version() -> str:
    try:
        return version("feedback-loops")
    except PackageNotFoundError:  # run from a checkout without an installation
        return "0"


def _digest() -> str:
    """Digest of the code that an actor can load. Takes a few milliseconds."""
    found = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for package in (Path(__file__).parent, Path(domain.__file__).parent):
        for file in sorted(package.rglob("*.py")):
            found.update(file.read_bytes())
    return found.hexdigest()


VERSION: Final = _version()
#: `User-Agent` of requests to handlers.
USER_AGENT: Final = f"feedback-loops/{VERSION}"
#: Computed at the start of the process, because another version may be installed later.
PROGRAM: Final = f"{VERSION} {_digest()}"

"""Version of the service, with a digest of its code: it tells programs apart that have the same version number."""

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
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0"


def _digest() -> str:
    """Digest of the code that an actor can load. Takes some milliseconds."""
    found = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for package in (Path(__file__).parent, Path(domain.__file__).parent):
        for file in sorted(package.rglob("*.py")):
            found.update(file.read_bytes())
    return found.hexdigest()


VERSION: Final = _version()
#: The name under which requests go to handlers.
USER_AGENT: Final = f"feedback-loops/{VERSION}"
#: Computed when the process starts: another version may be installed in its place later.
PROGRAM: Final = f"{VERSION} {_digest()}"

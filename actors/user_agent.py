"""The service's version, and the name under which it goes to handlers."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def _version() -> str:
    try:
        return version("feedback-loops")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0"


VERSION: Final = _version()
USER_AGENT: Final = f"feedback-loops/{VERSION}"

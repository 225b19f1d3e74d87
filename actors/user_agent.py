"""The name under which the service goes to handlers."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final


def _version() -> str:
    try:
        return version("feedback-loops")
    except PackageNotFoundError:  # run from a checkout that was not installed
        return "0"


USER_AGENT: Final = f"feedback-loops/{_version()}"

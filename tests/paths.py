"""Folders of the checkout, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
TESTS: Final = ROOT / "tests"
FIXTURES: Final = TESTS / "fixtures"

"""Installation keys for tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from actors.processes.installation import prepare_keys
from actors.settings import Settings
from domain.key_set import KeySet
from domain.signing import loop_keys

KEYS: Final = KeySet.single(b"m" * 32)


class FixedKeys:
    """Keys of an installation that are never rotated."""

    def __init__(self, keys: KeySet = KEYS) -> None:
        self.keys = keys

    def __call__(self) -> KeySet:
        return self.keys

    def follow(self, use: Callable[[KeySet], None]) -> None:
        """Never calls `use`."""

    async def loop_keys(self, loop_id: str) -> KeySet:
        return loop_keys(self.keys, loop_id)


def install(data_dir: Path) -> None:
    """Makes an installation in a data directory, which is locked, as the first start does."""
    prepare_keys(Settings.from_env({}, data_dir=str(data_dir)))

"""The front end's watch over the installation's keys, and the tracking routes while keys are missing."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from actors.commands.command import Command
from actors.commands.installation_keys import ReadKeyGeneration
from actors.installation.key_file import KeyFile
from actors.installation.keys import InstallationKeys
from actors.installation.master_key import MasterKeySource
from actors.installation.wrapping import new_ring, wrap
from actors.settings import Settings
from api.key_watch import KeyWatch
from domain.errors import Unavailable, WrongInstallation
from domain.key_ring import KeyRing

MASTER = bytes.fromhex("ab" * 32)


class Gateway:
    """A gateway that knows the generation in the store, or raises."""

    def __init__(self) -> None:
        self.generation = 1
        self.error: Exception | None = None

    async def call(self, command: Command[Any]) -> Any:
        assert isinstance(command, ReadKeyGeneration)
        if self.error is not None:
            raise self.error
        return self.generation

    async def record_intake(self, entries: list[bytes]) -> None:
        raise AssertionError(entries)


def with_second_key(ring: KeyRing) -> KeyRing:
    (master,) = ring.keys[0].wrapped
    return ring.with_key({master: wrap(os.urandom(32), ring.installation, 2, MASTER, os.urandom)}, 2)


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def watch(tmp_path: Path, gateway: Gateway) -> KeyWatch:
    settings = Settings.from_env({"FEEDBACK_LOOPS_MASTER_KEY": "ab" * 32}, data_dir=str(tmp_path))
    return KeyWatch(gateway, InstallationKeys(MasterKeySource.of(settings)), KeyFile(tmp_path))


def keys_of(watch: KeyWatch) -> list[int]:
    return sorted(watch._keys().keys)


def test_keys_are_read_from_the_disk(tmp_path: Path, watch: KeyWatch) -> None:
    """Without a gateway, a front end has the keys of its last run, and later ones as soon as they are written."""
    watch.reload()
    assert keys_of(watch) == []
    ring = new_ring("0f" * 16, MASTER, os.urandom, 1)
    KeyFile(tmp_path).write("a", ring)
    watch.reload()
    assert keys_of(watch) == [1]
    KeyFile(tmp_path).write("a", with_second_key(ring))
    watch.reload()
    assert keys_of(watch) == [1, 2]


def test_a_damaged_file_changes_nothing(tmp_path: Path, watch: KeyWatch) -> None:
    """The keys in memory stay, and the file is read again once it is repaired."""
    ring = new_ring("0f" * 16, MASTER, os.urandom, 1)
    KeyFile(tmp_path).write("a", ring)
    watch.reload()
    (tmp_path / "keys.json").write_text("{")
    watch.reload()
    assert keys_of(watch) == [1]
    KeyFile(tmp_path).write("a", with_second_key(ring))
    watch.reload()
    assert keys_of(watch) == [1, 2]


def test_keys_are_current_once_compared_with_the_store(tmp_path: Path, watch: KeyWatch, gateway: Gateway) -> None:
    """Not before the first comparison, nor while the store has a later generation or is another installation's."""
    ring = new_ring("0f" * 16, MASTER, os.urandom, 1)
    KeyFile(tmp_path).write("a", ring)

    gateway.error = Unavailable("starting")
    with pytest.raises(Unavailable):
        asyncio.run(watch.check())
    assert (watch.is_current, watch.is_wrong_installation) == (False, False)
    gateway.error = None
    asyncio.run(watch.check())
    assert watch.is_current
    gateway.generation = 2
    asyncio.run(watch.check())
    assert not watch.is_current
    KeyFile(tmp_path).write("a", with_second_key(ring))
    asyncio.run(watch.check())
    assert watch.is_current
    gateway.error = Unavailable("gone")
    with pytest.raises(Unavailable):
        asyncio.run(watch.check())
    assert watch.is_current
    gateway.error = WrongInstallation("another")
    with pytest.raises(WrongInstallation):
        asyncio.run(watch.check())
    assert (watch.is_current, watch.is_wrong_installation) == (False, True)
    gateway.error = None
    asyncio.run(watch.check())
    assert (watch.is_current, watch.is_wrong_installation) == (True, False)

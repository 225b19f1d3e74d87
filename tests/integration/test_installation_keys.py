"""Installation keys of several machines on one store: joining, rotations, crashes between any two writes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from actors.adapters.clock import SystemClock
from actors.application.key_sync import SEEN_MS, KeySync
from actors.installation.key_file import KeyFile
from actors.installation.keys import InstallationKeys
from actors.installation.master_key import MasterKeySource
from actors.installation.wrapping import KEY_BYTES, master_fingerprint, wrap
from actors.ledger.factory import make_key_ring_store
from actors.settings import Settings
from domain.errors import StoreError, StoreUnavailable, WrongInstallation
from domain.key_ring import KeyRing
from tests.contract.ledger_facts import NOW_MS, FakeClock
from tests.postgres import PostgresServer

MASTER, NEXT = "ab" * 32, "cd" * 32


class Crash(BaseException):
    """The end of a process at a certain write."""


class Machine:
    """A machine with a data directory. `crash_at` ends its process after that many writes."""

    def __init__(self, data_dir: Path, store: str | None, master: str | None = MASTER) -> None:
        data_dir.mkdir(exist_ok=True)
        self.data_dir = data_dir
        if master is not None:
            (data_dir / "master.key").write_text(master)
        env = {} if store is None else {"FEEDBACK_LOOPS_STORE": store}
        self.settings = Settings.from_env(env, data_dir=str(data_dir))
        self.start()

    def start(self, crash_at: int = -1) -> None:
        """Starts its process with nothing in memory."""
        self.keys = InstallationKeys(MasterKeySource.of(self.settings))
        self.file = KeyFile(self.data_dir)
        self.store: Any = make_key_ring_store(self.settings)
        self._left = crash_at
        for target, name in (
            (self.file, "write"), (self.store, "create"), (self.store, "replace"), (self.store, "confirm")
        ):  # fmt: skip
            setattr(target, name, self._counted(getattr(target, name)))
        self.sync = KeySync(self.keys, self.file, self.store, SystemClock())

    def _counted(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            if self._left == 0:
                raise Crash
            self._left -= 1
            return write(*arguments)

        return counted

    def refresh(self) -> KeyRing:
        return asyncio.run(self.sync.refresh())

    def rotate(self) -> KeyRing:
        key = os.urandom(KEY_BYTES)

        def add(ring: KeyRing) -> KeyRing:
            if len(ring.keys) > 1:  # a repetition
                return ring
            master = bytes.fromhex(MASTER)
            wrapped = wrap(key, ring.installation, ring.next_id, master, os.urandom)
            return ring.with_key({master_fingerprint(master): wrapped}, 1)

        return asyncio.run(self.sync.change(add))

    def rotate_master(self) -> KeyRing:
        if not (self.data_dir / "master.key").exists() or (self.data_dir / "master.key").read_text() != NEXT:
            (self.data_dir / "master.key.next").write_text(NEXT)  # otherwise a repetition

        def add(ring: KeyRing) -> KeyRing:
            keys, master = self.keys().keys, bytes.fromhex(NEXT)
            wrapped = {id_: wrap(keys[id_], ring.installation, id_, master, os.urandom) for id_ in keys}
            return ring.with_master(master_fingerprint(master), wrapped)

        return asyncio.run(self.sync.change(add))


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest) -> str | None:
    """The URL of a new store; None: SQLite in the data directory."""
    if request.param == "sqlite":
        return None
    server: PostgresServer = request.getfixturevalue("server")
    return server.new_database()


@pytest.fixture
def url(server: PostgresServer) -> str:
    """A new database."""
    return server.new_database()


def test_an_installation_is_made_once(tmp_path: Path, store: str | None) -> None:
    """A first start makes one, with the same in the data directory and in the store; later starts keep it."""
    machine = Machine(tmp_path / "a", store)
    made = machine.refresh()
    machine.start()

    assert machine.refresh() == made == machine.file.read()[1] == machine.store.load()
    assert machine.keys().signing == 1
    (confirmed,) = machine.store.front_ends()
    assert (confirmed.generation, confirmed.master) == (1, master_fingerprint(bytes.fromhex(MASTER)))


def test_machines_that_start_at_once_join_one_installation(tmp_path: Path, url: str) -> None:
    """Of two that find an empty store at the same time, one makes the installation and the other takes it."""
    machines = [Machine(tmp_path / str(number), url) for number in range(4)]

    async def all_at_once() -> list[KeyRing]:
        return await asyncio.gather(*(machine.sync.refresh() for machine in machines))

    first, *others = asyncio.run(all_at_once())
    assert others == [first] * 3
    assert len({machine.keys().signing_key for machine in machines}) == 1


def test_a_lost_data_directory_is_joined_again(tmp_path: Path, url: str) -> None:
    """With the master key, an empty directory gets the keys from the store."""
    made = Machine(tmp_path / "lost", url).refresh()

    assert Machine(tmp_path / "new", url).refresh() == made


def test_a_rotation_waits_for_a_machine_that_is_off(tmp_path: Path, url: str) -> None:
    """It has all keys as soon as it is back, and only then the new one signs."""
    here, off = Machine(tmp_path / "here", url), Machine(tmp_path / "off", url)
    here.refresh()
    off.refresh()

    assert here.rotate().signing == here.refresh().signing == 1
    off.start()
    assert off.refresh().signing == 2
    assert here.refresh().signing == here.keys().signing == 2
    assert here.keys().keys == off.keys().keys
    assert sorted(here.keys().keys) == [1, 2]


def test_a_forgotten_machine_is_not_waited_for(tmp_path: Path, url: str) -> None:
    """The rotation ends; if the machine comes back after all, it gets the keys before it signs anything."""
    here, gone = Machine(tmp_path / "here", url), Machine(tmp_path / "gone", url)
    here.refresh()
    gone.refresh()
    here.rotate()

    assert asyncio.run(here.sync.forget(gone.file.read()[0]))
    assert not asyncio.run(here.sync.forget("unknown"))
    assert here.refresh().signing == 2
    gone.start()
    assert gone.refresh().signing == 2
    assert len(here.store.front_ends()) == 2


@pytest.mark.parametrize("crash_at", range(8))
@pytest.mark.parametrize("rotation", ["rotate", "rotate_master"])
def test_a_rotation_survives_a_crash_at_any_write(
    tmp_path: Path, store: str | None, crash_at: int, rotation: str
) -> None:
    """Whichever write was the last one, a new process ends the rotation, and every key can still be read."""
    machine = Machine(tmp_path / "a", store)
    before = machine.refresh()
    former = machine.keys().keys[1]
    machine.start(crash_at)
    with suppress(Crash):
        getattr(machine, rotation)()
    machine.start()
    ring = getattr(machine, rotation)()

    assert ring == machine.refresh() == machine.file.read()[1] == machine.store.load()
    assert (ring.installation, ring.waiting, ring.next_master) == (before.installation, None, None)
    assert machine.keys().keys[1] == former
    if rotation == "rotate":
        assert (ring.signing, [key.id for key in ring.keys]) == (2, [1, 2])
    else:
        assert (machine.data_dir / "master.key").read_text() == NEXT
        assert not (machine.data_dir / "master.key.next").exists()
        assert list(ring.keys[0].wrapped) == [master_fingerprint(bytes.fromhex(NEXT))]


def test_a_master_key_that_is_lost_while_running_is_replaced(tmp_path: Path, store: str | None) -> None:
    """The machine still has its keys in memory, and wraps them for the next master key. Nothing is lost."""
    machine = Machine(tmp_path / "a", store)
    machine.refresh()
    former = machine.keys()
    (machine.data_dir / "master.key").unlink()
    machine.rotate_master()
    machine.start()
    machine.refresh()

    assert machine.keys() == former
    assert (machine.data_dir / "master.key").read_text() == NEXT


def test_a_store_of_another_installation_is_left_alone(tmp_path: Path, server: PostgresServer) -> None:
    """A wrong data directory or a wrong store: both fingerprints are named, and nothing is written to either."""
    ours, theirs = server.new_database(), server.new_database()
    machine, other = Machine(tmp_path / "a", ours), Machine(tmp_path / "b", theirs)
    made, kept = machine.refresh(), other.refresh()
    wrong = Machine(tmp_path / "a", theirs)

    with pytest.raises(WrongInstallation, match=f"{kept.fingerprint}.*{made.fingerprint}"):
        wrong.refresh()
    with pytest.raises(WrongInstallation):
        _ = wrong.sync.ring
    assert (wrong.store.load(), len(wrong.store.front_ends()), wrong.file.read()[1]) == (kept, 1, made)


def test_a_database_of_another_application_is_left_alone(tmp_path: Path, url: str) -> None:
    """No table is added to it."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE letters (text text)")
        with pytest.raises(StoreError, match="another application"):
            Machine(tmp_path / "a", url).refresh()
        assert connection.execute("SELECT to_regclass('installation')").fetchone() == (None,)


def test_the_higher_generation_is_right(tmp_path: Path, server: PostgresServer) -> None:
    """A store that was restored from an older backup gets the data directory's keys back."""
    url = server.new_database()
    machine = Machine(tmp_path / "a", url)
    old = machine.refresh()
    new = machine.rotate()
    assert new.generation > old.generation
    assert machine.store.replace(old, new.generation)
    machine.start()

    assert machine.refresh().keys == machine.store.load().keys == new.keys


def test_a_wrong_master_key_changes_nothing(tmp_path: Path, url: str) -> None:
    """The message has the fingerprint of the right one, and the data directory keeps its keys."""
    machine = Machine(tmp_path / "a", url)
    made = machine.refresh()
    machine = Machine(tmp_path / "a", url, master=NEXT)

    with pytest.raises(StoreUnavailable, match=master_fingerprint(bytes.fromhex(MASTER))):
        machine.refresh()
    assert machine.file.read()[1] == made
    stranger = Machine(tmp_path / "b", url, master=None)
    with pytest.raises(StoreUnavailable, match="not by none"):
        stranger.refresh()
    assert not (tmp_path / "b" / "keys.json").exists()
    assert len(machine.store.front_ends()) == 1


def test_a_front_end_that_was_forgotten_by_mistake_is_listed_again(tmp_path: Path, store: str | None) -> None:
    """Erasures and rotations must wait for every front end that runs."""
    machine = Machine(tmp_path / "a", store)
    machine.refresh()
    (listed,) = machine.store.front_ends()
    assert machine.store.forget(listed.front_end)
    assert machine.store.front_ends() == []
    machine.refresh()
    assert [each.front_end for each in machine.store.front_ends()] == [listed.front_end]


def test_a_front_end_that_runs_is_seen_at_least_once_an_hour(tmp_path: Path, store: str | None) -> None:
    """So that operators recognise those that are gone."""
    machine = Machine(tmp_path / "a", store)
    clock = FakeClock()
    machine.sync = KeySync(machine.keys, machine.file, machine.store, clock)
    seen = []
    for waited_ms in (0, SEEN_MS - 1, 1):
        clock.ms += waited_ms
        machine.refresh()
        seen.append(machine.store.front_ends()[0].at_ms - NOW_MS)
    assert seen == [0, 0, SEEN_MS]

"""Source of the master key."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from actors.installation.master_key import MasterKeySource
from actors.installation.wrapping import master_fingerprint
from actors.settings import Settings
from domain.errors import StoreUnavailable

GIVEN = "ab" * 32


def source(data_dir: Path, **env: str) -> MasterKeySource:
    given = {f"FEEDBACK_LOOPS_{name}": text for name, text in env.items()}
    return MasterKeySource.of(Settings.from_env(given, data_dir=str(data_dir)))


def test_a_key_is_created_once_and_kept(tmp_path: Path) -> None:
    """Only its owner can read the file."""
    assert source(tmp_path).current() is None
    made = source(tmp_path).create(os.urandom)

    assert source(tmp_path).create(os.urandom) == source(tmp_path).current() == made
    assert (tmp_path / "master.key").stat().st_mode & 0o777 == 0o600


def test_a_given_key_is_never_written(tmp_path: Path) -> None:
    """Neither one from the environment nor one from a mounted file."""
    data_dir, mounted = tmp_path / "data", tmp_path / "mounted"
    data_dir.mkdir()
    mounted.write_text(GIVEN + "\n")
    for given in (source(data_dir, MASTER_KEY=GIVEN), source(data_dir, MASTER_KEY_FILE=str(mounted))):
        assert given.create(os.urandom) == bytes.fromhex(GIVEN)
        with pytest.raises(StoreUnavailable, match="put the master key there"):
            given.create_next(os.urandom)
    assert list(data_dir.iterdir()) == []


def test_a_mounted_key_is_read_again(tmp_path: Path) -> None:
    """A key that is replaced takes effect without a restart."""
    mounted = tmp_path / "mounted"
    given = source(tmp_path, MASTER_KEY_FILE=str(mounted))
    assert given.current() is None
    mounted.write_text(GIVEN)
    assert given.current() == bytes.fromhex(GIVEN)
    mounted.write_text("cd" * 32)
    assert given.current() == bytes.fromhex("cd" * 32)


def test_the_next_key_becomes_the_current_one(tmp_path: Path) -> None:
    """Only the key that the ring waits for, and again without effect."""
    ours = source(tmp_path)
    ours.create(os.urandom)
    following = ours.create_next(os.urandom)
    assert ours.create_next(os.urandom) == following

    ours.promote("0" * 16)
    assert ours.current() != following
    ours.promote(master_fingerprint(following))
    ours.promote(master_fingerprint(following))
    assert (ours.current(), ours.next()) == (following, None)


@pytest.mark.parametrize("damage", [b"", b"abcd\n", b"\xff\xfe"])
def test_a_damaged_key_is_never_replaced(tmp_path: Path, damage: bytes) -> None:
    """A cut or broken key file is reported with its name, and not overwritten."""
    path = tmp_path / "master.key"
    path.write_bytes(damage)
    with pytest.raises(StoreUnavailable, match=r"master\.key"):
        source(tmp_path).create(os.urandom)
    assert path.read_bytes() == damage

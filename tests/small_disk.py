"""Small file systems for tests: tmpfs, and ext4 in a file, which can be filled; ramfs, which has no fallocate(2).

They need root and mounts.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

MIB = 1 << 20
KINDS = ("tmpfs", "ext4")


class SmallDisk:
    """A mounted file system. `fill` takes all of its room, `free` gives it back."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._filler = path / "filler"

    @property
    def free_bytes(self) -> int:
        found = os.statvfs(self.path)
        return found.f_bfree * found.f_frsize

    def fill(self) -> None:
        """Writes to a file until nothing more fits, not even for root."""
        with self._filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(MIB))
        with self._filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(512))
        os.sync()

    def free(self) -> None:
        self._filler.unlink()
        os.sync()


@contextlib.contextmanager
def small_disk(kind: str, size: int, folder: Path) -> Iterator[SmallDisk]:
    """A file system of this kind and size, mounted in `folder`; skips the test where that is not possible."""
    mount = folder / "disk"
    mount.mkdir()
    if kind in {"tmpfs", "ramfs"}:
        commands = [["mount", "-t", kind, "-o", f"size={size},mode=0700", kind, str(mount)]]
    else:
        image = folder / "disk.img"
        with image.open("wb") as file:
            file.truncate(size)
        commands = [["mkfs.ext4", "-q", "-m", "0", str(image)], ["mount", "-o", "loop", str(image), str(mount)]]
    for command in commands:
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as exc:
            pytest.skip(f"needs root, mounts and {command[0]}: {exc}")
    try:
        yield SmallDisk(mount)
    finally:
        subprocess.run(["umount", str(mount)], check=True)

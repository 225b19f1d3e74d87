"""Preallocation of disk blocks with fallocate(2), and the file systems on which it promises nothing."""

from __future__ import annotations

import ctypes
import errno
import os
import tempfile
from pathlib import Path
from typing import Final

#: File systems that write a changed block to a new place, by the magic numbers of statfs(2): what is allocated there is
#: not where a later write goes.
_COPY_ON_WRITE: Final = {
    0x9123683E: "btrfs",
    0x2FC12FC1: "ZFS",
    0xCA451A4E: "bcachefs",
    0xF2F52010: "F2FS",
    0x3434: "NILFS2",
}
_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NOT_SUPPORTED: Final = {errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV, errno.EINVAL}
_STATFS_BYTES: Final = 512
_TRIED_BYTES: Final = 1 << 16


class NoRoom(Exception):
    """The file system, a quota or a limit of the process leaves no room."""


class CannotPreallocate(Exception):
    """The file system does not reserve blocks; the text is one clause."""


def preallocate(fd: int, start: int, length: int) -> None:
    """Allocates blocks for the bytes of the file from `start` on. It grows if they are beyond its end.

    Not `os.posix_fallocate`: where the file system cannot do it, that writes to each block, over those of another
    process.

    Raises:
        NoRoom: some of the bytes may have blocks nevertheless.
        CannotPreallocate: it is not possible on this file system.
        OSError: the disk does not work.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        fallocate = libc.fallocate
    except AttributeError:
        raise CannotPreallocate("this system has no fallocate") from None
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    while length > 0 and fallocate(fd, 0, start, length) != 0:
        number = ctypes.get_errno()
        if number in _NO_ROOM:
            raise NoRoom(os.strerror(number))
        if number in _NOT_SUPPORTED:
            raise CannotPreallocate(f"its file system does not support fallocate ({os.strerror(number)})")
        if number != errno.EINTR:
            raise OSError(number, os.strerror(number))


def check_file_system(folder: Path) -> None:
    """Checks that a file system writes to the blocks that it has allocated.

    Raises:
        CannotPreallocate: it writes changed blocks to new places.
    """
    if (name := _COPY_ON_WRITE.get(_file_system(folder))) is not None:
        raise CannotPreallocate(f"{name} writes changed blocks to new places")


def try_in(folder: Path) -> None:
    """Tries to allocate blocks in a folder, for a file that has no name there.

    Raises:
        CannotPreallocate: its file system cannot do it, or it means nothing there.
        NoRoom: the disk is full.
        OSError: the folder cannot be written.
    """
    check_file_system(folder)
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            preallocate(file.fileno(), 0, _TRIED_BYTES)
    except OSError as exc:
        if exc.errno in _NO_ROOM:
            raise NoRoom(exc.strerror or str(exc)) from exc
        raise


def _file_system(path: Path) -> int:
    """The magic number of the file system; 0 if the system does not report it."""
    try:
        statfs = ctypes.CDLL(None).statfs
    except AttributeError:
        return 0
    found = ctypes.create_string_buffer(_STATFS_BYTES)
    if statfs(os.fsencode(path), found) != 0:
        return 0
    return int.from_bytes(found.raw[: ctypes.sizeof(ctypes.c_long)], "little") & 0xFFFFFFFF

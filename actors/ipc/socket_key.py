"""Key of a Unix socket, in a file next to it that only its owner can read.

Whoever can open the socket can read the key. It is there so that the other end of a connection is known to be a process
of the service before it may send more than a few bytes, as on any other socket (`actors.ipc.handshake`).
"""

from __future__ import annotations

import secrets
from pathlib import Path

from actors.settings.data_dir import write_private


def key_path(socket_path: Path) -> Path:
    """The file with the key of a socket."""
    return socket_path.with_suffix(".key")


def read_key(socket_path: Path) -> bytes:
    """The key of a socket.

    Raises:
        OSError: there is none (any more), or it cannot be read.
    """
    return bytes.fromhex(key_path(socket_path).read_text())


def make_key(socket_path: Path) -> bytes:
    """The key of a socket, made if there is none: a restart works on a full disk, too."""
    try:
        return read_key(socket_path)
    except (FileNotFoundError, ValueError):
        key = secrets.token_bytes(32)
        write_private(key_path(socket_path), key.hex())
        return key

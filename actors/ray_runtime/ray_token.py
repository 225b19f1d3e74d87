"""Ray's token, which only processes of this service's Ray have. The links between them are authenticated by it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from domain.errors import Conflict

DEFAULT_FILE: Final = Path("~/.ray/auth_token")


def ray_token() -> bytes:
    """The token of the Ray that this process belongs to, from where Ray reads it.

    Raises:
        Conflict: Ray asks for no token, so every process that reaches it could ask for secrets; or it cannot be read.
    """
    if os.environ.get("RAY_AUTH_MODE") != "token":
        raise Conflict(
            "this Ray asks for no token, so anyone who reaches it could read the service's secrets: start it with "
            "RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH, and set both for this service, too"
        )
    if given := os.environ.get("RAY_AUTH_TOKEN"):
        return given.strip().encode()
    path = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or DEFAULT_FILE).expanduser()
    try:
        token = path.read_bytes().strip()
    except OSError as exc:
        raise Conflict(f"Ray's token cannot be read from {path}: {exc.strerror or exc}") from exc
    if not token:
        raise Conflict(f"Ray's token in {path} is empty")
    return token

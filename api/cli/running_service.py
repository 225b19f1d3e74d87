"""Service that runs on a data directory: its settings, as it has written them there, and its URL on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from actors.settings import Settings
from actors.settings.options import SECRETS
from actors.settings.store_place import STORE_PLACE
from domain.errors import FeedbackLoopsError


class RunningService(NamedTuple):
    """Facts that a running service has written about itself."""

    #: With the secrets of whoever asks.
    settings: Settings
    #: `actors.settings.store_place` of its store; None: SQLite.
    store_place: str | None


def running_service(data_dir: Path, own: Settings) -> RunningService | None:
    """The service whose file of settings is in the data directory; None if it cannot be read.

    The file has no secrets, so they are those of `own`.
    """
    try:
        plain = json.loads((data_dir / "run" / "settings.json").read_text())
        settings = Settings.from_dict(plain | own.secrets(SECRETS))
    except (OSError, ValueError, KeyError, TypeError, FeedbackLoopsError):
        return None
    return RunningService(settings, plain.get(STORE_PLACE))


def local_url(host: str, port: int) -> str:
    """The URL on this machine of a service that listens there."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def written_url(data_dir: Path) -> str | None:
    """The URL of the service whose file of settings is in the data directory, or None."""
    try:
        plain = json.loads((data_dir / "run" / "settings.json").read_text())
        return local_url(plain["host"], int(plain["port"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None

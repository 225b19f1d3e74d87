"""What the actors of a cluster were started with, so that front ends which share them agree on it."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from typing import Final, Self

import msgspec

from actors.settings import OPTIONS, Settings
from actors.settings.options import text_of
from actors.version import PROGRAM
from domain.key_derivation import derive

#: The key of an edition in the settings that actors are given, beside the options' names.
EDITION: Final = "edition"
#: Options that each front end has for itself; all others are the actors' too.
OWN_OPTIONS: Final = frozenset(
    {
        *("host", "port", "public_url", "trusted_proxies", "admin_key", "journal_max_bytes", "log_level"),
        "log_format",
        "ray_address",  # the same cluster has several
        "master_key",  # compared by itself: with another one the actors are another installation's
    }
)
_DIGEST_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """The settings and the version that actors are started with, and which start of a `serve` decided so."""

    #: Unix time of that start, milliseconds.
    started_ms: int
    #: `actors.version.PROGRAM`.
    version: str
    #: Tells master keys apart, and does not tell what they are.
    installation: str
    #: A keyed digest of each option's text, so that nobody can try out what a secret may be.
    options: dict[str, str]

    @classmethod
    def of(cls, settings: Settings, started_ms: int) -> Self:
        """The edition that this `serve` would start actors with."""
        # On SQLite the ledger is in the data directory; otherwise that is the front end's alone.
        own = OWN_OPTIONS if settings.store is None else OWN_OPTIONS | {"data_dir"}
        texts = {o.name: text_of(getattr(settings, o.attribute)) for o in OPTIONS if o.name not in own}
        return cls(
            started_ms=started_ms,
            version=PROGRAM,
            installation=derive(settings.master_key, "installation", _DIGEST_BYTES).hex(),
            options={name: _digest(settings.master_key, f"{name}={text}") for name, text in texts.items()},
        )

    @classmethod
    def read(cls, text: str) -> Self:
        """The edition that `text` made."""
        return msgspec.json.decode(text, type=cls)

    @classmethod
    def running(cls, text: str) -> str:
        """The text of an edition with the version that this process really runs.

        Settings come from the gateway that started an actor; its program is what is installed on the actor's machine.
        """
        return replace(cls.read(text), version=PROGRAM).text()

    def text(self) -> str:
        """As it crosses between processes, of other versions too."""
        return msgspec.json.encode(self).decode()

    def differences(self, other: Edition) -> list[str]:
        """Names of the options that differ, `version` too."""
        names = sorted(self.options.keys() | other.options.keys())
        found = [name for name in names if self.options.get(name) != other.options.get(name)]
        return found if self.version == other.version else ["version", *found]


def _digest(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), hashlib.sha256)[:_DIGEST_BYTES].hex()

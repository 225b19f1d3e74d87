"""Deployment of the actors: the settings and the version that they run, compared between front ends."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, replace
from typing import Final, Self

import msgspec

from actors.settings import DATA_DIR_LOCK, Settings
from actors.settings.options import OPTIONS, text_of
from actors.version import PROGRAM
from domain.key_derivation import derive
from domain.key_ring import fingerprint

#: Key of the deployment in the settings that actors are started with, next to the names of options.
DEPLOYMENT: Final = "deployment"
#: Options that each front end sets for itself. The actors share all others.
OWN_OPTIONS: Final = frozenset(
    {
        *(
            "host",
            "port",
            "public_url",
            "trusted_proxies",
            "keep_ip",
            "admin_key",
            "journal_max_bytes",
            "journal_reserve",
            "spill_dir",
            "log_level",
        ),
        "log_format",
        *("no_init", "erasures_file"),
        "ray_address",  # a cluster has several addresses
        *("admin_key_file", "master_key", "master_key_file", "next_master_key_file", "store_file"),
    }
)
_DIGEST_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """The settings and the version that actors are started with, and the start of the `serve` that decided on them."""

    #: Unix time of that start, milliseconds.
    started_ms: int
    #: `actors.version.PROGRAM`.
    version: str
    #: The installation's fingerprint.
    installation: str
    #: A keyed digest of each option's text, so that secrets cannot be guessed from it.
    options: dict[str, str]

    @classmethod
    def of(cls, settings: Settings, installation_id: str, started_ms: int) -> Self:
        """The deployment that this `serve` would start actors with. `installation_id` is hexadecimal."""
        # On SQLite the ledger is in the data directory; otherwise only the front end uses the directory.
        own = OWN_OPTIONS if settings.store is None else OWN_OPTIONS | {"data_dir"}
        texts = {o.name: text_of(getattr(settings, o.attribute)) for o in OPTIONS if o.name not in own}
        if settings.store is None:
            texts[DATA_DIR_LOCK] = text_of(settings.data_dir_lock)
        # The id is secret enough: those who can read it can read the options, too. No rotation changes it.
        key = derive(bytes.fromhex(installation_id), "deployment")
        return cls(
            started_ms=started_ms,
            version=PROGRAM,
            installation=fingerprint(installation_id),
            options={name: _digest(key, f"{name}={text}") for name, text in texts.items()},
        )

    @classmethod
    def read(cls, text: str) -> Self:
        """The deployment that was encoded by `text`."""
        return msgspec.json.decode(text, type=cls)

    @classmethod
    def running(cls, text: str) -> str:
        """The encoded deployment with the version that this process really runs.

        A gateway decides on the settings of an actor, but the program is whatever is installed on the actor's machine.
        """
        return replace(cls.read(text), version=PROGRAM).text()

    def text(self) -> str:
        """The encoding between processes, of other versions too."""
        return msgspec.json.encode(self).decode()

    def differences(self, other: Deployment) -> list[str]:
        """Names of the options that differ, with `version` first if it differs."""
        names = sorted(self.options.keys() | other.options.keys())
        found = [name for name in names if self.options.get(name) != other.options.get(name)]
        return found if self.version == other.version else ["version", *found]


def _digest(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), hashlib.sha256)[:_DIGEST_BYTES].hex()

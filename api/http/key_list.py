"""List of all API keys that a front end keeps: hashes and accounts, renewed every second, and a copy on disk.

With it a front end knows its callers while the ledger is away, also after a restart.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from actors.commands.accounts import Account
from actors.commands.reports import KnownApiKey, ReadApiKeys
from actors.gateway.client import Client
from actors.settings.data_dir import write_private
from actors.settings.data_dir_watch import UNWATCHED, DataDirWatch
from domain.errors import FeedbackLoopsError

log = logging.getLogger(__name__)

#: The copy, in the data directory. It contains no key, only their SHA-256.
FILE: Final = "api-keys.json"
#: Seconds between renewals.
RENEWAL_S: Final = 1.0
#: Seconds after a renewal for which the list decides alone.
FRESH_S: Final = 3.0

_read_keys: Final = msgspec.json.Decoder(list[KnownApiKey]).decode


class KeyList:
    """The valid API keys, as of the last renewal."""

    def __init__(
        self,
        client: Client,
        data_dir: Path | None,
        monotonic_s: Callable[[], float] = time.monotonic,
        renewal_s: float = RENEWAL_S,
        watch: DataDirWatch = UNWATCHED,
    ) -> None:
        """Loads the copy in `data_dir`, if there is one. Without `data_dir`, no copy is written."""
        self._client = client
        self._watch = watch
        self._file = data_dir / FILE if data_dir is not None else None
        self._monotonic_s = monotonic_s
        self._renewal_s = renewal_s
        self._accounts = self._loaded()
        #: Of the list in the ledger; the copy may be of another ledger.
        self._version = -1
        self._renewed_s = float("-inf")
        self._renewing: asyncio.Task[None] | None = None

    @property
    def is_fresh(self) -> bool:
        """Whether the list was renewed just now, so that a key that it lacks was revoked or is very new."""
        return self._monotonic_s() - self._renewed_s < FRESH_S

    def account(self, key_hash: str) -> Account | None:
        """The account of a listed key."""
        return self._accounts.get(key_hash)

    def start(self) -> None:
        """Starts to renew the list."""
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew_always(), name="API keys")

    async def stop(self) -> None:
        """Stops renewing."""
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait({self._renewing})
            self._renewing = None

    async def renew(self) -> None:
        """Renews the list once.

        Raises:
            FeedbackLoopsError: the ledger cannot be read; the list stays as it is.
        """
        found = await self._client.call(ReadApiKeys(known_version=self._version))
        if found.keys is not None:
            self._accounts = {key.hash: key.account for key in found.keys}
            self._version = found.version
            await asyncio.to_thread(self._save, found.keys)
        self._renewed_s = self._monotonic_s()

    async def _renew_always(self) -> None:
        while True:
            try:
                await self.renew()
            except FeedbackLoopsError:
                pass  # `/readyz` and the log show what is wrong
            except Exception:
                log.exception("the list of API keys was not renewed", extra={"action": "keys_failed"})
            await asyncio.sleep(self._renewal_s)

    def _save(self, keys: list[KnownApiKey]) -> None:
        if self._file is None or self._watch.check():
            return
        try:
            write_private(self._file, msgspec.json.encode(keys).decode())
        except OSError as exc:
            log.error(  # noqa: TRY400 - the cause is in the message
                "the copy of the API keys cannot be written", extra={"action": "keys_failed", "error": str(exc)}
            )

    def _loaded(self) -> dict[str, Account]:
        try:
            keys = _read_keys(self._file.read_bytes()) if self._file is not None else []
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as exc:
            log.warning("the copy of the API keys cannot be read", extra={"action": "keys_failed", "error": str(exc)})
            return {}
        return {key.hash: key.account for key in keys}

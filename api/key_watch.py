"""Watch of the front end over the installation's keys: follows the key file that its gateway writes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

from actors.commands.installation_keys import ReadKeyGeneration
from actors.gateway.client import Client
from actors.installation.key_file import KeyFile
from actors.installation.keys import InstallationKeys
from domain.errors import FeedbackLoopsError, StoreError, WrongInstallation

log = logging.getLogger(__name__)

PERIOD_S: Final = 1.0


class KeyWatch:
    """Keeps the front end's keys up to date. They are read from the disk, so that it starts without its gateway."""

    def __init__(self, client: Client, keys: InstallationKeys, file: KeyFile, period_s: float = PERIOD_S) -> None:
        self._client = client
        self._keys = keys
        self._file = file
        self._period_s = period_s
        self._version: object = None
        self._problem = ""
        self._is_current = False
        self._is_wrong_installation = False
        self._watching: asyncio.Task[None] | None = None

    @property
    def is_current(self) -> bool:
        """Whether a key that is not known here does not exist.

        False until the keys have been compared with the store since the start, and while the store belongs to another
        installation: then other front ends may have made the token.
        """
        return self._is_current

    @property
    def is_wrong_installation(self) -> bool:
        """Whether the store belongs to another installation than the keys."""
        return self._is_wrong_installation

    def reload(self) -> None:
        """Reads the key file if it has changed. Keeps the keys if it cannot be used."""
        version = self._file.version
        if version == self._version:
            return
        try:
            _, ring = self._file.read()
            if ring is not None:
                self._keys.use(ring)
        except StoreError as exc:
            if str(exc) != self._problem:
                self._problem = str(exc)
                log.error(  # noqa: TRY400 - the cause is in the message
                    "the installation's keys cannot be read", extra={"action": "keys", "problem": self._problem}
                )
        else:
            self._version = version

    def start(self) -> None:
        """Starts to follow the file."""
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch(), name="installation keys")

    async def stop(self) -> None:
        """Stops following the file."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
            self._watching = None

    async def check(self) -> None:
        """Asks the gateway once whether the keys on the disk are the right ones."""
        try:
            generation = await self._client.call(ReadKeyGeneration())
        except WrongInstallation:
            self._is_current, self._is_wrong_installation = False, True
            raise
        self._is_wrong_installation = False
        self.reload()
        self._is_current = self._keys.generation >= generation

    async def _watch(self) -> None:
        while True:
            with contextlib.suppress(FeedbackLoopsError):  # `/readyz` shows what is wrong
                await self.check()
            self.reload()
            await asyncio.sleep(self._period_s)

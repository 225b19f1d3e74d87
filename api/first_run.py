"""First run: anyone with the installation's one-time token can create the first user and account.

The token is derived from the installation key that signs, so every front end has the same one. It is useless once a
user exists.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from actors.commands.users import IsFirstRun
from actors.gateway.client import Client
from actors.settings.data_dir import write_private
from actors.settings.data_dir_watch import UNWATCHED, DataDirWatch
from domain.errors import FeedbackLoopsError, InvalidInput
from domain.key_set import KeySet

log = logging.getLogger(__name__)

#: Next to `admin.key`, until a user exists.
TOKEN_FILE: Final = "first-run.token"  # noqa: S105 - a name
PATH: Final = "/dashboard/first-run"
_RETRY_S: Final = 2.0
_PURPOSE: Final = "first-run"


class FirstRun:
    """The token of the first run, shown only to the operator."""

    def __init__(
        self,
        client: Client,
        keys: Callable[[], KeySet],
        data_dir: Path | None,
        watch: DataDirWatch = UNWATCHED,
    ) -> None:
        """`keys` returns the current installation keys. If `data_dir` is None, no file is written."""
        self._client = client
        self._watch = watch
        self._keys = keys
        self._file = None if data_dir is None else data_dir / TOKEN_FILE

    def check(self, token: str) -> None:
        """Checks the token.

        Raises:
            InvalidInput: /token.
        """
        given = token.strip().encode("utf-8", "replace")
        genuine = [_token(key) for key in self._keys().derived(_PURPOSE, 16).keys.values()]
        if not any(hmac.compare_digest(given, each.encode()) for each in genuine):
            problem = "is wrong; the right one is in the service's log and in the file first-run.token"
            raise InvalidInput(f"token {problem}", [("/token", problem)])

    def close(self) -> None:
        """Removes the token's file, once a user exists."""
        if self._file is not None and not self._watch.check():
            self._file.unlink(missing_ok=True)

    async def announce(self, url: str) -> str | None:
        """Logs how to create the first user and writes the token's file, or removes the file if a user exists.

        Returns the URL of the form, or None if a user exists.
        """
        while True:
            try:
                is_open = await self._client.call(IsFirstRun())
                break
            except FeedbackLoopsError:
                await asyncio.sleep(_RETRY_S)
        if not is_open:
            self.close()
            return None
        token = _token(self._keys().derived(_PURPOSE, 16).signing_key)
        if self._file is not None and not self._watch.check():
            write_private(self._file, token + "\n")
        where = f"{url}{PATH}?token={token}"
        log.info("no users yet: create the first one", extra={"action": "first_run", "url": where})
        return where


def _token(key: bytes) -> str:
    return f"flf_{key.hex()}"

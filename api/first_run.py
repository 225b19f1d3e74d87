"""First run: anyone with the installation's one-time token can create the first user and account.

The token is derived from the master key, so every front end has the same one. It is useless once a user exists.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from pathlib import Path
from typing import Final

from actors.commands.users import IsFirstRun
from actors.gateway.client import Client
from actors.settings.data_dir import write_private
from domain.errors import FeedbackLoopsError, InvalidInput
from domain.key_derivation import derive

log = logging.getLogger(__name__)

#: Next to `admin.key`, until a user exists.
TOKEN_FILE: Final = "first-run.token"  # noqa: S105 - a name
PATH: Final = "/dashboard/first-run"
_RETRY_S: Final = 2.0


class FirstRun:
    """The token of the first run, shown only to the operator."""

    def __init__(self, client: Client, master_key: bytes, data_dir: Path | None) -> None:
        """If `data_dir` is None, no file is written."""
        self._client = client
        self._token = f"flf_{derive(master_key, 'first-run', 16).hex()}"
        self._file = None if data_dir is None else data_dir / TOKEN_FILE

    def check(self, token: str) -> None:
        """Checks the token.

        Raises:
            InvalidInput: /token.
        """
        if not hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._token.encode()):
            problem = "is wrong; the right one is in the service's log and in the file first-run.token"
            raise InvalidInput(f"token {problem}", [("/token", problem)])

    def close(self) -> None:
        """Removes the token's file, once a user exists."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    async def announce(self, url: str) -> None:
        """Logs how to create the first user and writes the token's file, or removes the file if a user exists."""
        while True:
            try:
                is_open = await self._client.call(IsFirstRun())
                break
            except FeedbackLoopsError:
                await asyncio.sleep(_RETRY_S)
        if not is_open:
            self.close()
            return
        if self._file is not None:
            write_private(self._file, self._token + "\n")
        where = f"{url}{PATH}?token={self._token}"
        log.info("no users yet: create the first one", extra={"action": "first_run", "url": where})

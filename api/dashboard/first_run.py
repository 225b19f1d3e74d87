"""The first run: who holds the installation's one-time token makes the first user and the account.

The token comes from the master key, so every front end knows the same one, and it opens nothing once there is a user.
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

#: Beside `admin.key`, for as long as there is no user.
TOKEN_FILE: Final = "first-run.token"  # noqa: S105 - a name
PATH: Final = "/dashboard/first-run"
_RETRY_S: Final = 2.0


class FirstRun:
    """Tells the token to who runs the service, and nobody else."""

    def __init__(self, client: Client, master_key: bytes, data_dir: Path | None) -> None:
        """`data_dir` None: no file is written."""
        self._client = client
        self._token = f"flf_{derive(master_key, 'first-run', 16).hex()}"
        self._file = None if data_dir is None else data_dir / TOKEN_FILE

    def check(self, token: str) -> None:
        """Returns when it is the token.

        Raises:
            InvalidInput: /token.
        """
        if not hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._token.encode()):
            problem = "is wrong; the right one is in the service's log and in the file first-run.token"
            raise InvalidInput(f"token {problem}", [("/token", problem)])

    async def is_open(self) -> bool:
        """Whether there is no user yet."""
        return await self._client.call(IsFirstRun())

    def close(self) -> None:
        """Takes the token's file away: there is a user."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)

    async def announce(self, url: str) -> None:
        """Says in the log, and writes to a file, how to make the first user; when there is one, removes the file."""
        while True:
            try:
                is_open = await self.is_open()
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

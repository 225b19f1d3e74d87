"""Limits of what is read of a returned mail. Beyond them, the rest of the mail is ignored and the report says so."""

from __future__ import annotations

from typing import Final

MAX_PARTS: Final = 200
MAX_DEPTH: Final = 20
MAX_RECIPIENTS: Final = 200
MAX_HEADER_BYTES: Final = 256 * 1024
MAX_HEADER_FIELDS: Final = 2_000
#: Text that is searched for addresses, replies and statuses. Notifications are much shorter.
MAX_TEXT_CHARS: Final = 128 * 1024
#: Bytes of a machine-readable part, enough for 200 recipients with long diagnostics.
MAX_STATUS_BYTES: Final = 512 * 1024
#: Bytes that are searched for tokens.
MAX_TOKEN_BYTES: Final = 256 * 1024
MAX_KEYS: Final = 50
MAX_DESCRIPTION_CHARS: Final = 1_000
#: Bytes of the mail that handlers receive. Source: the contract, section 5.
MAX_MIME_BYTES: Final = 512 * 1024

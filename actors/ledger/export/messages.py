"""Exported messages of a person, each with its events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from actors.commands.recipients import ExportedRecord
from actors.ledger.export.events import events_after
from actors.ledger.export.section import Place, Recipient, Unit
from actors.ledger.queries.messages import COLUMNS, message_view
from actors.ledger.store_connection import StoreConnection

#: Messages that are read at once. Each may have a hundred links of 2 KiB.
_BATCH: Final = 10
MESSAGES_OF: Final = (
    f"SELECT {COLUMNS} FROM messages AS m {{by messages_to_recipient}}"  # noqa: S608 - constants only
    " WHERE m.account_no = $1 AND m.person = $2 AND m.key > $3 ORDER BY m.key LIMIT $4"
)


class MessageSection:
    """Messages in the order of their registration. A place is `[key, event id]`; the id is "" at the message itself."""

    def units(self, connection: StoreConnection, who: Recipient, after: Place) -> Iterator[Unit]:
        key, event_hex = (int(after[0]), str(after[1])) if after else (0, "")
        if key:
            yield from _events(connection, who, key, bytes.fromhex(event_hex))
        while True:
            found = connection.rows(MESSAGES_OF, (who.account_no, who.person, key, _BATCH))
            for row in found:
                key = row[0]
                yield Unit([key, ""], [ExportedRecord(message=message_view(row, []))])
                yield from _events(connection, who, key, b"")
            if len(found) < _BATCH:
                return


def _events(connection: StoreConnection, who: Recipient, key: int, after: bytes) -> Iterator[Unit]:
    for event_id, records in events_after(connection, who.account_no, key, after or bytes(16)):
        yield Unit([key, event_id.hex()], records)

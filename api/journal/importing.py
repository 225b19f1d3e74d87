"""Import of a journal that was moved aside: sends what can be read of it, and of its spool, to a running service."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from actors.commands.intake import MAX_ENTRIES, RETURNED_MAIL, spool_name, with_mail
from actors.gateway.client import Client, GatewayClient
from api.journal.salvage import salvaged_entries
from api.journal.spool import FOLDER, Spool
from domain.errors import InvalidInput, InvalidToken, UnknownIntake

#: Bytes of a batch, unless one entry is longer.
_BATCH_BYTES: Final = 90_000


@dataclass(slots=True)
class Imported:
    """The result of an import."""

    recorded: int = 0
    #: Entries that this version cannot read.
    unreadable: int = 0


async def import_journal(path: Path, client: Client) -> Imported:
    """Records the entries of the journal in the directory `path`. Those that were recorded earlier change nothing.

    The journal and its spool, the directory next to it with the same ending, stay as they are.

    Raises:
        StoreUnavailable: nothing of the journal can be read.
        FeedbackLoopsError: the service is away; import again later.
    """
    imported = Imported()
    spool = Spool(path.with_name(path.name.replace("journal", FOLDER, 1)), 0)
    batch: list[bytes] = []
    for entry in salvaged_entries(path / "data.mdb"):
        is_mail = entry.startswith(RETURNED_MAIL)
        if batch and (is_mail or len(batch) == MAX_ENTRIES or sum(map(len, batch)) + len(entry) > _BATCH_BYTES):
            await _record(client, batch, imported)
            batch = []
        if is_mail:
            mail = spool.read(name) if (name := spool_name(entry)) else None
            await _record(client, [entry if mail is None else with_mail(entry, mail)], imported)
        else:
            batch.append(entry)
    if batch:
        await _record(client, batch, imported)
    return imported


async def import_journal_at(path: Path, gateway_socket: Path) -> Imported:
    """The same, through the gateway with this socket."""
    client = GatewayClient(gateway_socket)
    try:
        return await import_journal(path, client)
    finally:
        await client.close()


async def _record(client: Client, entries: list[bytes], imported: Imported) -> None:
    try:
        await client.record_intake(entries)
    except UnknownIntake as exc:
        imported.unreadable += len(exc.positions)
        imported.recorded += len(entries) - len(exc.positions)
    except (InvalidInput, InvalidToken):
        if len(entries) == 1:
            imported.unreadable += 1
            return
        for entry in entries:
            await _record(client, [entry], imported)
    else:
        imported.recorded += len(entries)

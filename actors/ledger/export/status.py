"""Exported facts about a person as a whole: running erasures, and that the person had unsubscribed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from actors.commands.recipients import ExportedRecord
from actors.ledger.export.section import Place, Recipient, Unit
from actors.ledger.store_connection import StoreConnection
from domain.erasure import ALL_ACCOUNTS

RUNNING: Final = (
    "SELECT id FROM erasures WHERE account_no {in $1} AND digest = $2 AND completed_at_ms IS NULL ORDER BY no"
)
OPT_OUT: Final = "SELECT opted_out_at_ms FROM opt_outs WHERE account_no = $1 AND digest = $2"


class StatusSection:
    """One unit, which always has the place `[1]`."""

    def units(self, connection: StoreConnection, who: Recipient, after: Place) -> Iterator[Unit]:
        if after:
            return
        accounts = connection.many([ALL_ACCOUNTS, who.account_no])
        records = [ExportedRecord(erasure=id_) for (id_,) in connection.rows(RUNNING, (accounts, who.digest))]
        if found := connection.row(OPT_OUT, (who.account_no, who.digest)):
            records.append(ExportedRecord(opted_out_at_ms=found[0]))
        yield Unit([1], records)

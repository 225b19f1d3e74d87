"""Sections of an export: kinds of data about a person, each read unit by unit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

from actors.commands.recipients import ExportedRecord
from actors.ledger.store_connection import StoreConnection


class Recipient(NamedTuple):
    """The person whose data is exported, in one account."""

    #: `acc_…`.
    account_id: str
    account_no: int
    #: `actors.ledger.people.person_of` the address.
    person: str
    #: `domain.erasure.person_digest`.
    digest: bytes


#: A place within a section, which the section's own code reads. Places of later units are greater.
Place = list[int | str]


class Unit(NamedTuple):
    """Records that belong together, and their place: the next page begins after it."""

    place: Place
    records: Sequence[ExportedRecord]


class Section(Protocol):
    """One kind of data about a person."""

    def units(self, connection: StoreConnection, who: Recipient, after: Place) -> Iterator[Unit]:
        """The units after a place, in order; from the start if it is empty.

        Each query is bounded and on its own, so that no snapshot stays open while the page is being made.
        """
        ...

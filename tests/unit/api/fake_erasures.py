"""A fake of the commands about erasures: they run until a test completes them."""

from __future__ import annotations

from uuid import uuid4

import msgspec

from actors.commands.accounts import Account
from actors.commands.command import Page
from actors.commands.erasures import (
    EraseRecipient,
    Erasure,
    ErasureCounts,
    GetErasure,
    ListErasures,
)
from actors.ledger.people import person_of
from domain.erasure import ALL_ACCOUNTS, StepName
from domain.errors import InvalidInput, NotFound
from domain.values import email_problem
from tests.unit.api.fake_access import NOW_MS
from tests.unit.api.fake_pages import page_of


class FakeErasures:
    """The commands of `actors.commands.erasures`."""

    def __init__(self) -> None:
        super().__init__()
        #: By id: the account's number, the person, and the erasure.
        self.erasures: dict[str, tuple[int, str, Erasure]] = {}

    def complete_erasure(self, erasure_id: str) -> None:
        """Completes an erasure."""
        no, _, erasure = self.erasures[erasure_id]
        done = msgspec.structs.replace(erasure, state="completed", completed_at_ms=NOW_MS, step=StepName.BYTES.value)
        self.erasures[erasure_id] = (no, "", done)

    def _erase_recipient(self, x: EraseRecipient) -> Erasure:
        if problem := email_problem(x.email.strip()):
            raise InvalidInput.at("/email", problem)
        person = person_of(x.email)
        no = ALL_ACCOUNTS if x.account is None else x.account.no
        for its_no, its_person, erasure in self.erasures.values():
            if (its_no, its_person) == (no, person):
                return erasure
        started = Erasure(
            id=f"ers_{uuid4().hex}",
            state="running",
            requested_at_ms=NOW_MS,
            completed_at_ms=None,
            step=StepName.MESSAGES.value,
            counts=ErasureCounts(),
        )
        self.erasures[started.id] = (no, person, started)
        return started

    def _own_erasures(self, account: Account | None) -> list[Erasure]:
        return [each for no, _, each in self.erasures.values() if account is None or account.no == no]

    def _get_erasure(self, x: GetErasure) -> Erasure:
        for erasure in self._own_erasures(x.account):
            if erasure.id == x.erasure_id:
                return erasure
        raise NotFound(f"there is no erasure {x.erasure_id} in this account")

    def _list_erasures(self, x: ListErasures) -> Page[Erasure]:
        found = self._own_erasures(x.account)[::-1]
        data, following = page_of(found, x.limit, x.cursor)
        return Page(data=data, next=following)

"""Front ends of the fake client: one, without anything to do."""

from __future__ import annotations

from typing import Any, Final

from actors.commands.front_end_erasures import (
    ConfirmErasures,
    FindErasedMessages,
    FrontEndState,
    FrontEndWork,
    NoteFrontEndProblem,
    ReadFrontEndErasures,
    ReadFrontEnds,
    RepeatErasures,
)
from actors.commands.installation_keys import ForgetFrontEnd, KeyHolder
from domain.errors import NotFound

FRONT_END: Final = KeyHolder(
    id="5c0e", name="edge-1", generation=1, master_key="a" * 16, confirmed_ms=1, is_awaited=False
)


class FakeFrontEnds:
    """The part of the fake client that handles commands of and about front ends."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.front_ends = [FRONT_END]
        self.front_end_problem = ""

    def _read_front_ends(self, _: ReadFrontEnds) -> list[FrontEndState]:
        return [
            FrontEndState(id=f.id, name=f.name, confirmed_ms=f.confirmed_ms, problem=self.front_end_problem, erasures=0)
            for f in self.front_ends
        ]

    def _forget_front_end(self, x: ForgetFrontEnd) -> None:
        if x.front_end not in {each.id for each in self.front_ends}:
            raise NotFound(f"there is no front end {x.front_end}")
        self.front_ends = [each for each in self.front_ends if each.id != x.front_end]

    def _read_front_end_erasures(self, _: ReadFrontEndErasures) -> FrontEndWork:
        return FrontEndWork(erasures=[], settled=0, knows_last=True)

    def _find_erased_messages(self, _: FindErasedMessages) -> list[int]:
        return []

    def _confirm_erasures(self, _: ConfirmErasures) -> None:
        pass

    def _note_front_end_problem(self, x: NoteFrontEndProblem) -> None:
        self.front_end_problem = x.problem

    def _repeat_erasures(self, _: RepeatErasures) -> int:
        return 0

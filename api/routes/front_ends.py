"""Front ends: what waits for each, and the end of one that will not come back."""

from __future__ import annotations

from functools import partial
from typing import Final

from actors.commands import front_end_erasures as commands
from actors.commands.front_end_erasures import ReadFrontEnds
from actors.commands.installation_keys import ForgetFrontEnd
from api.http.operation import Access, Operation, ResponseSpec, forward
from api.http.problem_types import NOT_FOUND
from api.schemas.base import time_text
from api.schemas.front_ends import FrontEnds, FrontEndState

operation: Final = partial(Operation, tag="Front ends", access=Access.ADMIN)


def _view(states: list[commands.FrontEndState]) -> FrontEnds:
    return FrontEnds(
        data=[
            FrontEndState(
                id=each.id,
                name=each.name,
                confirmed_at=time_text(each.confirmed_ms),
                erasures=each.erasures,
                problem=each.problem or None,
            )
            for each in states
        ]
    )


OPERATIONS: Final = (
    operation(
        id="listFrontEnds",
        path="/v1/front-ends",
        summary="List front ends",
        description="All that share the store, with the erasures of people that wait for each.",
        handler=forward(lambda _: ReadFrontEnds(), _view),
        responses=(ResponseSpec(description="The front ends.", model=FrontEnds),),
    ),
    operation(
        id="forgetFrontEnd",
        method="DELETE",
        path="/v1/front-ends/{id}",
        summary="Forget a front end",
        description="Erasures of people and rotations of keys stop waiting for it. Only for one that will not come "
        "back: if it does, it has to do its part of every erasure that it has missed.",
        handler=forward(lambda r: ForgetFrontEnd(front_end=r.path["id"])),
        responses=(ResponseSpec(status=204, description="The front end is forgotten."),),
        problems=(NOT_FOUND,),
    ),
)

"""API models of people: what is kept about them, and their erasures."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import ConfigDict, Field
from typing_extensions import TypeAliasType

from api.schemas.base import AnswerModel, Next, OneOf, PageQuery, QueryModel, Time, tidy_schema

#: Kinds of lines of an export.
MESSAGE: Final = "message"
EVENT: Final = "event"
MAIL: Final = "returned_mail"
DELIVERY: Final = "delivery"
PROFILE: Final = "profile"
SUBPROFILE: Final = "subprofile"
VERSION: Final = "profile_version"
REPORT: Final = "report"
OPT_OUT: Final = "opt_out"
ERASURE: Final = "erasure"
PROBLEM: Final = "problem"
END: Final = "end"
KINDS: Final = (MESSAGE, EVENT, MAIL, DELIVERY, PROFILE, SUBPROFILE, VERSION, REPORT, OPT_OUT, ERASURE, PROBLEM, END)

ExportedRecordKind = TypeAliasType("ExportedRecordKind", Annotated[str, OneOf(KINDS)])
ErasureState = TypeAliasType("ErasureState", Annotated[str, OneOf(("running", "completed"))])

_LINES: Final = """\
One thing that is kept about a person. The other members depend on `record`:

- `message`, `event`, `profile`, `subprofile`: as in their own paths. An event has all fields, its message's id among
  them.
- `returned_mail`: `event` (its id) and `mime`. `delivery`: `feedback_loop` and the delivery with its attempts.
- `profile_version`: former data of a profile or subprofile: `change` (what was done then), `time`, `fields` and
  `interests`.
- `report`: a report of the last 30 days without a message, whose text has the address; its events follow.
- `opt_out`: `opted_out_at`, when the person unsubscribed; it was kept after an earlier erasure.
- `erasure`: `id` of a running erasure of this person; the export may lack what it has removed already.
- `problem`: the export ends early, with a problem document in this line.
- `end`: the export is complete; `lines` is the number of lines before this one.
"""


class ExportedLine(AnswerModel):
    __doc__ = _LINES

    model_config = ConfigDict(extra="allow", frozen=True, json_schema_extra=tidy_schema)

    record: ExportedRecordKind


class ErasureQuery(QueryModel):
    """Options of an erasure."""

    keep_opt_out: Annotated[str, OneOf(("true", "false"))] = Field(
        default="false", description="Whether to keep that and when the person unsubscribed, without the address."
    )
    accounts: Annotated[str, OneOf(("all",))] | None = Field(
        default=None, description="`all`: in all accounts; needs the admin key."
    )


class ErasureListQuery(PageQuery):
    """The part of the list of erasures."""


class ErasureCounts(AnswerModel):
    """How much was redacted so far."""

    messages: int
    events: int
    deliveries: int = Field(description="Pending ones; they are never sent.")
    profiles: int
    mails: int


class Erasure(AnswerModel):
    """An erasure. It never shows the address."""

    id: str
    state: ErasureState
    requested_at: Time
    completed_at: Time | None
    step: str = Field(description="What is being done; the last step if it has completed.")
    waiting_for: list[str] = Field(
        description="What it waits for now: front ends that have not answered yet, attempts under way, processes that"
        " do not answer, and readers of the store; in parentheses why, if it is known."
    )
    counts: ErasureCounts
    outside: list[str] = Field(description="Copies that the service cannot reach, in words.")


class ErasureList(AnswerModel):
    """Erasures, newest first."""

    data: list[Erasure]
    next: Next

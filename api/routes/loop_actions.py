"""Actions on a feedback loop: verify, test, pause, resume, rotate its secret."""

from __future__ import annotations

from typing import Final

import msgspec

from actors.commands.loops import (
    CheckLoops,
    GetLoop,
    GetSecret,
    PauseLoop,
    ResumeLoop,
    RotateSecret,
    SendSample,
    VerifyLoop,
)
from api.http.operation import ApiRequest, ResponseSpec, forward, json_body
from api.http.problem_types import CONFLICT, NOT_FOUND, NOT_VERIFIED, TEMPORARY_CONFLICT
from api.http.problems import ProblemError
from api.http.response import Response
from api.routes.feedback_loops import COLLECTION, ITEM, loop_operation
from api.schemas.base import EmptyBody, NoQuery
from api.schemas.loops import FeedbackLoop, LoopCheckList, LoopSecret, RotationQuery, Sample, SampleResult
from api.schemas.service import VerificationProblem
from api.schemas.views import check_view, loop_view, sample_view, verification_file


async def get_verification_file(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """The verification file, under its name."""
    loop = await request.call(GetLoop(account=request.account, loop_id=request.path["id"]))
    return verification_file(loop)


async def verify(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """Verifies the loop, or reports what was found at each location."""
    report = await request.call(VerifyLoop(account=request.account, loop_id=request.path["id"]))
    if report.verified:
        return Response.of(loop_view(report.loop))
    raise ProblemError(
        NOT_VERIFIED,
        f"the proof was not found at any of {len(report.findings)} locations; place the file or the DNS record, "
        "see `verification` of the loop, and verify again",
        errors=[(f.location, f.found) for f in report.findings],
        members={"locations": [msgspec.structs.asdict(f) for f in report.findings]},
    )


async def check_loops(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """Sends a sample event to every active loop."""
    results = await request.call(CheckLoops(account=request.account))
    return Response.of(LoopCheckList(data=[check_view(result) for result in results], next=None))


#: Before those of one loop: `check` is no id.
COLLECTION_OPERATIONS: Final = (
    loop_operation(
        id="checkFeedbackLoops",
        method="POST",
        path=f"{COLLECTION}/check",
        summary="Test every active loop now",
        handler=check_loops,
        responses=(ResponseSpec(description="The response of each handler.", model=LoopCheckList),),
    ),
)

OPERATIONS: Final = (
    loop_operation(
        id="getVerificationFile",
        path=f"{ITEM}/verification-file",
        summary="Download the verification file",
        description="Place it under its name next to the script, or at the server's root.",
        handler=get_verification_file,
        responses=(ResponseSpec(description="The file.", media_type="text/plain; charset=utf-8"),),
        problems=(NOT_FOUND,),
    ),
    loop_operation(
        id="verifyFeedbackLoop",
        method="POST",
        path=f"{ITEM}/verify",
        summary="Verify a feedback loop",
        description="Looks for the file next to the script, then at the root, and for the DNS record. "
        "An unverified loop becomes active. A paused or disabled loop keeps its state and gets a newer `verified_at`.",
        handler=verify,
        responses=(ResponseSpec(description="The loop, verified.", model=FeedbackLoop),),
        problems=(NOT_FOUND, TEMPORARY_CONFLICT, NOT_VERIFIED),
        problem_model=(422, VerificationProblem),
    ),
    loop_operation(
        id="sendSample",
        method="POST",
        path=f"{ITEM}/test",
        summary="Send a sample event",
        description="The loop must be verified: nothing is ever POSTed to an unverified handler.",
        handler=forward(
            lambda r: SendSample(account=r.account, loop_id=r.path["id"], type=r.body.type, data=r.body.data),
            sample_view,
        ),
        bodies=(json_body(Sample),),
        responses=(ResponseSpec(description="The handler's response.", model=SampleResult),),
        problems=(NOT_FOUND, CONFLICT),
    ),
    loop_operation(
        id="pauseFeedbackLoop",
        method="POST",
        path=f"{ITEM}/pause",
        summary="Pause an active loop",
        description="Its backlog is kept and grows.",
        handler=forward(lambda r: PauseLoop(account=r.account, loop_id=r.path["id"]), loop_view),
        responses=(ResponseSpec(description="The loop, paused.", model=FeedbackLoop),),
        problems=(NOT_FOUND, CONFLICT),
    ),
    loop_operation(
        id="resumeFeedbackLoop",
        method="POST",
        path=f"{ITEM}/resume",
        summary="Resume a paused or disabled loop",
        handler=forward(lambda r: ResumeLoop(account=r.account, loop_id=r.path["id"]), loop_view),
        responses=(ResponseSpec(description="The loop, active.", model=FeedbackLoop),),
        problems=(NOT_FOUND, CONFLICT),
    ),
    loop_operation(
        id="rotateSecret",
        method="POST",
        path=f"{ITEM}/rotate-secret",
        summary="Rotate the signing secret",
        description="For 24 hours, POSTs are signed with both the old and the new secret, and with at most 4 in all: "
        "a further rotation gets 409, and `Retry-After` says when the oldest one ends.",
        handler=forward(
            lambda r: RotateSecret(account=r.account, loop_id=r.path["id"], revoke=r.query.revoke), loop_view
        ),
        query=RotationQuery,
        responses=(ResponseSpec(description="The loop with its new secret.", model=FeedbackLoop),),
        problems=(NOT_FOUND, TEMPORARY_CONFLICT),
    ),
    loop_operation(
        id="getSecret",
        path=f"{ITEM}/secret",
        summary="Read the signing secret",
        handler=forward(
            lambda r: GetSecret(account=r.account, loop_id=r.path["id"]), lambda secret: LoopSecret(secret=secret)
        ),
        responses=(ResponseSpec(description="The current secret.", model=LoopSecret),),
        problems=(NOT_FOUND,),
    ),
)

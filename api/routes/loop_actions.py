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
from api.http.operation import ApiRequest, Operation, ResponseSpec, json_body
from api.http.problems import CONFLICT, NOT_FOUND, NOT_VERIFIED, ProblemError
from api.http.response import Response
from api.routes.feedback_loops import COLLECTION, ITEM, TAG
from api.schemas.base import EmptyBody, NoQuery
from api.schemas.loops import FeedbackLoop, LoopCheckList, LoopSecret, Sample, SampleResult
from api.schemas.service import VerificationProblem
from api.schemas.views import check_view, loop_view, sample_view
from domain import verification


async def verification_file(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """The verification file, under its name."""
    loop = await request.services.client.call(GetLoop(account=request.account, loop_id=request.path["id"]))
    token = loop.verification_token
    disposition = f'attachment; filename="{verification.file_name(token)}"'
    return Response(
        body=verification.file_content(token).encode(),
        content_type="text/plain; charset=utf-8",
        headers=(("Content-Disposition", disposition),),
    )


async def verify(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """Verifies the loop, or reports what was found at each location."""
    report = await request.services.client.call(VerifyLoop(account=request.account, loop_id=request.path["id"]))
    if report.verified:
        return Response.of(loop_view(report.loop))
    raise ProblemError(
        NOT_VERIFIED,
        f"the proof was not found at any of {len(report.findings)} locations; place the file or the DNS record, "
        "see `verification` of the loop, and verify again",
        errors=[(f.location, f.found) for f in report.findings],
        members={"locations": [msgspec.structs.asdict(f) for f in report.findings]},
    )


async def send_sample(request: ApiRequest[Sample, NoQuery]) -> Response:
    """Sends a sample event now."""
    command = SendSample(
        account=request.account, loop_id=request.path["id"], type=request.body.type, data=request.body.data
    )
    return Response.of(sample_view(await request.services.client.call(command)))


async def check_loops(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """Sends a sample event to every active loop."""
    results = await request.services.client.call(CheckLoops(account=request.account))
    return Response.of(LoopCheckList(data=[check_view(result) for result in results], next=None))


async def pause(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """Pauses deliveries."""
    command = PauseLoop(account=request.account, loop_id=request.path["id"])
    return Response.of(loop_view(await request.services.client.call(command)))


async def resume(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """Resumes deliveries."""
    command = ResumeLoop(account=request.account, loop_id=request.path["id"])
    return Response.of(loop_view(await request.services.client.call(command)))


async def rotate_secret(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """Rotates the secret."""
    command = RotateSecret(account=request.account, loop_id=request.path["id"])
    return Response.of(loop_view(await request.services.client.call(command)))


async def get_secret(request: ApiRequest[EmptyBody, NoQuery]) -> Response:
    """The current secret."""
    secret = await request.services.client.call(GetSecret(account=request.account, loop_id=request.path["id"]))
    return Response.of(LoopSecret(secret=secret))


#: Before those of one loop: `check` is no id.
COLLECTION_OPERATIONS: Final = (
    Operation(
        id="checkFeedbackLoops",
        method="POST",
        path=f"{COLLECTION}/check",
        tag=TAG,
        summary="Test every active loop now",
        handler=check_loops,
        responses=(ResponseSpec(description="The response of each handler.", model=LoopCheckList),),
    ),
)

OPERATIONS: Final = (
    Operation(
        id="getVerificationFile",
        method="GET",
        path=f"{ITEM}/verification-file",
        tag=TAG,
        summary="Download the verification file",
        description="Place it under its name next to the script, or at the server's root.",
        handler=verification_file,
        responses=(ResponseSpec(description="The file.", media_type="text/plain; charset=utf-8"),),
        problems=(NOT_FOUND,),
    ),
    Operation(
        id="verifyFeedbackLoop",
        method="POST",
        path=f"{ITEM}/verify",
        tag=TAG,
        summary="Verify a feedback loop",
        description="Looks for the file next to the script, then at the root, and for the DNS record. "
        "An unverified loop becomes active. A paused or disabled loop keeps its state and gets a newer `verified_at`.",
        handler=verify,
        responses=(ResponseSpec(description="The loop, verified.", model=FeedbackLoop),),
        problems=(NOT_FOUND, CONFLICT, NOT_VERIFIED),
        problem_model=(422, VerificationProblem),
    ),
    Operation(
        id="testFeedbackLoop",
        method="POST",
        path=f"{ITEM}/test",
        tag=TAG,
        summary="Send a sample event",
        description="The loop must be verified: nothing is ever POSTed to an unverified handler.",
        handler=send_sample,
        bodies=(json_body(Sample),),
        responses=(ResponseSpec(description="The handler's response.", model=SampleResult),),
        problems=(NOT_FOUND, CONFLICT),
    ),
    Operation(
        id="pauseFeedbackLoop",
        method="POST",
        path=f"{ITEM}/pause",
        tag=TAG,
        summary="Pause an active loop",
        description="Its backlog is kept and grows.",
        handler=pause,
        responses=(ResponseSpec(description="The loop, paused.", model=FeedbackLoop),),
        problems=(NOT_FOUND, CONFLICT),
    ),
    Operation(
        id="resumeFeedbackLoop",
        method="POST",
        path=f"{ITEM}/resume",
        tag=TAG,
        summary="Resume a paused or disabled loop",
        handler=resume,
        responses=(ResponseSpec(description="The loop, active.", model=FeedbackLoop),),
        problems=(NOT_FOUND, CONFLICT),
    ),
    Operation(
        id="rotateSecret",
        method="POST",
        path=f"{ITEM}/rotate-secret",
        tag=TAG,
        summary="Rotate the signing secret",
        description="For 24 hours, POSTs are signed with both the old and the new secret.",
        handler=rotate_secret,
        responses=(ResponseSpec(description="The loop with its new secret.", model=FeedbackLoop),),
        problems=(NOT_FOUND, CONFLICT),
    ),
    Operation(
        id="getSecret",
        method="GET",
        path=f"{ITEM}/secret",
        tag=TAG,
        summary="Read the signing secret",
        handler=get_secret,
        responses=(ResponseSpec(description="The current secret.", model=LoopSecret),),
        problems=(NOT_FOUND,),
    ),
)

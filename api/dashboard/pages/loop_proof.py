"""Showing that the script's server is one's own: the file or record, where to put it, and what was found there."""

from __future__ import annotations

from typing import Final

from actors.commands.loops import Finding, Loop, VerifyLoop
from api.dashboard.request import ROOT, Page, Visit, see_other
from api.http.response import Response
from api.schemas.views import verification_file, verification_view


async def _page(visit: Visit, loop: Loop, findings: list[Finding] | None = None) -> Response:
    template = "_proof.html" if visit.is_fragment else "verify.html"
    proof = verification_view(loop)
    status = 422 if findings is not None and not visit.is_fragment else 200
    return visit.html(template, status, loop=loop, proof=proof, findings=findings, done=visit.query.text("done"))


async def verify_page(visit: Visit) -> Response:
    """The three steps."""
    return await _page(visit, await visit.loop())


async def verify(visit: Visit) -> Response:
    """Looks for the proof. If it is missing, shows what was found at each location."""
    report = await visit.call(VerifyLoop(account=visit.account, loop_id=visit.path["id"]))
    if not report.verified:
        return await _page(visit, report.loop, report.findings)
    there = f"{ROOT}/loops/{report.loop.id}?done=verified"
    if visit.is_fragment:
        return Response(status=204, headers=(("HX-Redirect", there),))
    return see_other(there)


async def proof_file(visit: Visit) -> Response:
    """The file to place, under its name."""
    return verification_file(await visit.loop())


PAGES: Final = (
    Page(method="GET", path="/loops/{id}/verify", handler=verify_page),
    Page(method="POST", path="/loops/{id}/verify", handler=verify),
    Page(method="GET", path="/loops/{id}/file", handler=proof_file),
)

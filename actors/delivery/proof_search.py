"""Search for a loop's proof at every place where it may be."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from actors.commands.loops import Finding
from actors.ports import FetchedProof, ProofFetcher
from domain.verification import NOT_THE_PROOF, dns_name, file_locations, proves, shortfall


class ProofSearch(NamedTuple):
    """The result: a finding for each place, and the first place that has the proof, or None."""

    findings: list[Finding]
    location: str | None


async def search_for_proof(proof_fetcher: ProofFetcher, url: str, token: str) -> ProofSearch:
    """Looks for the file next to the script and at the root, then for the DNS record if there is no such file.

    A host that is an IP address has no such record.
    """
    locations = file_locations(url, token)
    files = await asyncio.gather(*map(proof_fetcher.fetch_file, locations))
    findings = [_finding(location, [fetched], token) for location, fetched in zip(locations, files, strict=True)]
    name = dns_name(url)
    if name is not None and not any(finding.matched for finding in findings):
        findings.append(_finding(f"dns:{name}", await proof_fetcher.fetch_txt(name), token))
    return ProofSearch(findings, next((finding.location for finding in findings if finding.matched), None))


def _finding(location: str, fetched: list[FetchedProof], token: str) -> Finding:
    if any(one.body is not None and proves(one.body, token) for one in fetched):
        return Finding(location=location, matched=True, found="the proof")
    found = "; ".join(one.found for one in fetched)
    shortfalls = [shortfall(one.body, token) for one in fetched if one.body is not None]
    if shortfalls:
        # Of several records, report the one that comes closest.
        found += f", which is {next((one for one in shortfalls if one != NOT_THE_PROOF), NOT_THE_PROOF)}"
    return Finding(location=location, matched=False, found=found)

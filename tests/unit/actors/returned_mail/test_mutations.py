"""Damaged and hostile mails in the parser's process."""

from __future__ import annotations

import asyncio

import pytest

from actors.returned_mail.parser import MailParser
from actors.returned_mail.worker import WorkerLimits
from domain.returned_mail.limits import MAX_DESCRIPTION_CHARS, MAX_KEYS, MAX_RECIPIENTS
from domain.returned_mail.outcome import outcomes
from domain.returned_mail.report import ReturnedMail
from tests.returned_mail_mutations import mutants

COUNT = 2_000
SEED = 1


@pytest.mark.timeout(300)
def test_no_mutated_mail_ends_the_process_or_raises(caplog: pytest.LogCaptureFixture) -> None:
    """2,000 mails: flipped bytes, truncated, nested, 10,000 recipients, 8-bit data. Reports stay within the limits."""

    async def run() -> int:
        # The limit of CPU time decides here: on a busy machine, a mail can wait long for a processor.
        parser = MailParser(WorkerLimits(time_s=60.0))
        for _, raw in mutants(SEED, COUNT):
            assert_within_limits(await parser.parse(raw))
        await parser.close()
        return parser.deaths

    assert asyncio.run(run()) == 0
    assert caplog.records == []


def assert_within_limits(report: ReturnedMail) -> None:
    assert len(report.recipients) <= MAX_RECIPIENTS
    assert all(len(recipient.description) <= MAX_DESCRIPTION_CHARS for recipient in report.recipients)
    assert len(report.keys.message_ids) <= MAX_KEYS
    assert len(report.keys.tracking_tokens) <= MAX_KEYS
    assert len(outcomes(report)) <= MAX_RECIPIENTS + 1

"""Contract suites of the ledger on SQLite."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.erasure_idempotency_suite import IdempotencyErasureSuite
from tests.contract.erasure_mails_suite import MailErasureSuite
from tests.contract.erasure_profiles_suite import ProfileAddressesSuite, ProfileErasureSuite
from tests.contract.erasure_waits_suite import WaitsSuite
from tests.contract.ledger_access_suite import AccessSuite
from tests.contract.ledger_backlog_suite import BacklogSuite
from tests.contract.ledger_erasure_suite import ErasureSuite
from tests.contract.ledger_facts import Store
from tests.contract.ledger_front_ends_suite import FrontEndsSuite, RepeatSuite
from tests.contract.ledger_lookups_suite import LookUpSuite, RebuildSuite, RoutesSuite
from tests.contract.ledger_missed_suite import MissedSuite
from tests.contract.ledger_personal_retention_suite import PersonalRetentionSuite
from tests.contract.ledger_profiles_suite import ProfilesSuite
from tests.contract.ledger_recipients_suite import RecipientsSuite
from tests.contract.ledger_records_suite import IdempotencySuite, OutcomesSuite
from tests.contract.ledger_replay_suite import ReplaySuite
from tests.contract.ledger_reports_suite import ReportsSuite
from tests.contract.ledger_retention_suite import RetentionSuite
from tests.contract.ledger_statistics_suite import StatisticsSuite
from tests.contract.ledger_suite import AppendSuite, EventsSuite
from tests.contract.ledger_views_suite import ViewsSuite
from tests.contract.sqlite_store import sqlite_stores


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with sqlite_stores(tmp_path) as made:
        yield made


class TestAppend(AppendSuite):
    """On SQLite."""


class TestEvents(EventsSuite):
    """On SQLite."""


class TestOutcomes(OutcomesSuite):
    """On SQLite."""


class TestIdempotency(IdempotencySuite):
    """On SQLite."""


class TestRoutes(RoutesSuite):
    """On SQLite."""


class TestLookUps(LookUpSuite):
    """On SQLite."""


class TestViews(ViewsSuite):
    """On SQLite."""


class TestBacklogs(BacklogSuite):
    """On SQLite."""


class TestMissed(MissedSuite):
    """On SQLite."""


class TestReplays(ReplaySuite):
    """On SQLite."""


class TestReports(ReportsSuite):
    """On SQLite."""


class TestRetention(RetentionSuite):
    """On SQLite."""


class TestPersonalRetention(PersonalRetentionSuite):
    """On SQLite."""


class TestRecipients(RecipientsSuite):
    """On SQLite."""


class TestAccess(AccessSuite):
    """On SQLite."""


class TestStatistics(StatisticsSuite):
    """On SQLite."""


class TestRebuild(RebuildSuite):
    """On SQLite."""


class TestProfiles(ProfilesSuite):
    """On SQLite."""


class TestProfileAddresses(ProfileAddressesSuite):
    """On SQLite."""


class TestFrontEnds(FrontEndsSuite):
    """On SQLite."""


class TestRepeats(RepeatSuite):
    """On SQLite."""


class TestProfileErasure(ProfileErasureSuite):
    """On SQLite."""


class TestMailErasure(MailErasureSuite):
    """On SQLite."""


class TestAnswerErasure(IdempotencyErasureSuite):
    """On SQLite."""


class TestErasures(ErasureSuite):
    """On SQLite."""


class TestWaits(WaitsSuite):
    """On SQLite."""

"""Contract suites of the ledger on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

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
from tests.contract.postgres_store import postgres_stores
from tests.postgres import PostgresServer


@pytest.fixture
def store(postgres: PostgresServer) -> Iterator[Store]:
    with postgres_stores(postgres) as made:
        yield made


class TestAppend(AppendSuite):
    """On PostgreSQL."""


class TestEvents(EventsSuite):
    """On PostgreSQL."""


class TestOutcomes(OutcomesSuite):
    """On PostgreSQL."""


class TestIdempotency(IdempotencySuite):
    """On PostgreSQL."""


class TestRoutes(RoutesSuite):
    """On PostgreSQL."""


class TestLookUps(LookUpSuite):
    """On PostgreSQL."""


class TestViews(ViewsSuite):
    """On PostgreSQL."""


class TestBacklogs(BacklogSuite):
    """On PostgreSQL."""


class TestMissed(MissedSuite):
    """On PostgreSQL."""


class TestReplays(ReplaySuite):
    """On PostgreSQL."""


class TestReports(ReportsSuite):
    """On PostgreSQL."""


class TestRetention(RetentionSuite):
    """On PostgreSQL."""


class TestPersonalRetention(PersonalRetentionSuite):
    """On PostgreSQL."""


class TestRecipients(RecipientsSuite):
    """On PostgreSQL."""


class TestAccess(AccessSuite):
    """On PostgreSQL."""


class TestStatistics(StatisticsSuite):
    """On PostgreSQL."""


class TestRebuild(RebuildSuite):
    """On PostgreSQL."""


class TestProfiles(ProfilesSuite):
    """On PostgreSQL."""


class TestProfileAddresses(ProfileAddressesSuite):
    """On PostgreSQL."""


class TestFrontEnds(FrontEndsSuite):
    """On PostgreSQL."""


class TestRepeats(RepeatSuite):
    """On PostgreSQL."""


class TestProfileErasure(ProfileErasureSuite):
    """On PostgreSQL."""


class TestMailErasure(MailErasureSuite):
    """On PostgreSQL."""


class TestAnswerErasure(IdempotencyErasureSuite):
    """On PostgreSQL."""


class TestErasures(ErasureSuite):
    """On PostgreSQL."""


class TestWaits(WaitsSuite):
    """On PostgreSQL."""

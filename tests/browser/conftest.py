"""Fixtures: one fake service and one browser for all tests of a module."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.browser.chromium import chromium
from tests.browser.site import served
from tests.unit.api.dashboard.fake_dashboard import FakeDashboard
from tests.unit.api.fake_api import Api


@pytest.fixture(scope="module")
def dashboard() -> FakeDashboard:
    return FakeDashboard(Api())


@pytest.fixture(scope="module")
def base(dashboard: FakeDashboard) -> Iterator[str]:
    with served(dashboard.api) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started
